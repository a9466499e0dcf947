"""The page docs/definitions.md: how each number is defined, from what dbt knows of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GROUPS = {"core": "Core", "conversion": "Conversion", "tasks": "Tasks", "credit": "Credit"}
INTRODUCTION = """# How each number is defined

<!-- Made from the YAML in dbt_project/models: change it there, then run
HEADWATER_UPDATE_DEFINITIONS=1 scripts/test tests/dbt_project/test_definitions.py -->

What the columns of the marts and the metrics mean, where these rules come from, and at the end
what other products do instead. The same words stand at the tables in the database (`\\d+`) and in
`scripts/docs`. Days and weeks are cut in the reporting time zone of seed `project_settings`."""


def page(manifest: Mapping[str, Any]) -> str:
    """The page as Markdown, from the manifest of dbt, in which descriptions are put together."""
    return "\n\n".join(_parts(manifest)) + "\n"


def _parts(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield INTRODUCTION
    marts = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["access"] == "public"
    ]
    for group, title in GROUPS.items():
        yield f"## {title}"
        for mart in sorted(marts, key=lambda mart: str(mart["name"])):
            if mart["group"] == group:
                yield f"### `{mart['name']}`"
                yield mart["description"].strip()
                rows = [(name, each["description"]) for name, each in mart["columns"].items()]
                yield _table("column", rows)
    yield "## Metrics"
    metrics = sorted(manifest["metrics"].values(), key=lambda metric: str(metric["name"]))
    yield _table("metric", [(metric["name"], metric["description"]) for metric in metrics])
    yield "## What others do instead"
    yield manifest["docs"]["doc.headwater.elsewhere"]["block_contents"].strip()


def _table(first: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {first} | definition |", "|---|---|"]
    for name, description in rows:
        cell = " ".join(description.split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {cell} |")
    return "\n".join(lines)
