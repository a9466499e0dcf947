"""Keys in dbt_project's YAML that dbt does not know, which on Postgres it lets pass in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbt.jsonschemas
import yaml
from dbt_semantic_interfaces.parsing.schemas import metric_validator, semantic_model_validator
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

SCHEMAS = Path(dbt.jsonschemas.__file__).parent
# Of the older ones beside them, none refuses an unknown key.
PROJECT_SCHEMA = SCHEMAS / "project" / "0.0.110.json"
PROPERTY_SCHEMA = SCHEMAS / "resources" / "latest.json"


def unknown_keys(project: Path) -> Iterator[str]:
    """Yields "file: place: what is wrong" for every fault in the YAML of a dbt project."""
    yield from _faults(project / "dbt_project.yml", project, _validator(PROJECT_SCHEMA))
    properties = _validator(PROPERTY_SCHEMA)
    for folder in ("macros", "models", "seeds", "tests"):
        for path in sorted((project / folder).rglob("*.yml")):
            yield from _faults(path, project, properties)


def _validator(path: Path) -> Draft7Validator:
    schema = json.loads(path.read_text())
    schema["definitions"]["DbtIncrementalStrategy"] = {}  # `entity` is the project's own
    return Draft7Validator(schema)


def _faults(path: Path, project: Path, validator: Draft7Validator) -> Iterator[str]:
    name = path.relative_to(project)
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as broken:
        yield f"{name}: {broken}"
        return
    for place, message in _semantic_faults(content):
        yield f"{name}: {place}: {message[:200]}"
    for outermost in validator.iter_errors(content):
        error = best_match([outermost]) or outermost
        yield f"{name}: {error.json_path}: {error.message[:200]}"


def _semantic_faults(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Takes semantic models and metrics out of `content` and checks them.

    dbt-core 1.11 reads the legacy specification, which its own schema no longer knows; the package
    it reads them with has one. There a semantic model names its relation, in dbt's YAML its model.
    """
    for metric in content.pop("metrics", []):
        for error in metric_validator.iter_errors(metric):
            yield f"metrics.{metric.get('name')}", error.message
    for semantic_model in content.pop("semantic_models", []):
        renamed = {key: value for key, value in semantic_model.items() if key != "model"}
        if "model" not in semantic_model:
            yield f"semantic_models.{semantic_model.get('name')}", "'model' is a required property"
        for error in semantic_model_validator.iter_errors(renamed):
            yield f"semantic_models.{semantic_model.get('name')}", error.message
