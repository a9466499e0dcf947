"""What the page Definitions shows: each metric and column of a mart, and how far to trust it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from scripts.lib.dbt.docs import LINEAGE

FILE = "definitions.html"
TITLE = "Definitions"
UNTOLD = "not run"  # of a test, in the last build
_GOOD = {"pass", "success"}
_TESTS = {"test", "unit_test"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A mart's tests with their last results, `[(test, result)]`, and how the mart was built."""

    tests: list[tuple[str, str]]
    built: str

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The tests that ran and did not pass."""
        return [(test, result) for test, result in self.tests if result not in {*_GOOD, UNTOLD}]

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(result in _GOOD for _, result in self.tests)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a mart: `made_from` other models' columns, which begin in raw or a seed."""

    name: str
    data_type: str
    description: Markup
    made_from: list[str]
    begins: list[str]


@dataclass(frozen=True, slots=True)
class Mart:
    """A mart with its columns. `owner` is a name and an address."""

    name: str
    description: Markup
    owner: str
    checked: Checked
    columns: list[Column]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the semantic layer, and the marts that it is computed from."""

    name: str
    label: str
    description: Markup
    formula: str
    made_from: list[str]
    begins: list[str]
    marts: list[Mart]


def definitions(docs: Path, results: Mapping[str, str]) -> dict[str, Any]:
    """The metrics and marts by the dbt docs in the folder `docs`.

    `results` are those of the last run of dbt, by the id of a model or test.
    """
    manifest = json.loads((docs / "manifest.json").read_bytes())
    lineage = json.loads((docs / LINEAGE).read_bytes())
    tests = _tests(manifest)
    marts = {
        node["name"]: _mart(node, manifest, lineage["columns"], tests.get(key, {}), results)
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["fqn"][-2] == "marts"
    }
    metrics = [
        Metric(
            metric["name"],
            metric["label"],
            _html(metric["description"]),
            marts=[marts[name] for name in sorted(_names(said["made_from"]))],
            **said,
        )
        for metric in manifest["metrics"].values()
        for said in [lineage["metrics"][metric["name"]]]
    ]
    return {"metrics": metrics, "marts": [marts[name] for name in sorted(marts)]}


def _names(places: list[str]) -> set[str]:
    return {place.split(".")[1] for place in places}


def _mart(
    node: Mapping[str, Any],
    manifest: Mapping[str, Any],
    lineage: Mapping[str, Mapping[str, list[str]]],
    tests: Mapping[str, str],
    results: Mapping[str, str],
) -> Mart:
    owner = manifest["groups"][f"group.{node['package_name']}.{node['group']}"]["owner"]
    return Mart(
        node["name"],
        _html(node["description"]),
        f"{owner['name']}, {owner['email']}",
        Checked(
            sorted((test, results.get(key, UNTOLD)) for key, test in tests.items()),
            results.get(node["unique_id"], UNTOLD),
        ),
        [
            Column(
                name,
                column["data_type"],
                _html(column["description"]),
                **lineage[f"{node['schema']}.{node['alias']}.{name}"],
            )
            for name, column in node["columns"].items()
        ],
    )


def _tests(manifest: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By the id of each model the ids of its tests, with what to call them."""
    found: dict[str, dict[str, str]] = {}
    nodes = [*manifest["nodes"].values(), *manifest["unit_tests"].values()]
    for node in nodes:
        if node["resource_type"] in _TESTS:
            for model in _tested(node):
                found.setdefault(model, {})[node["unique_id"]] = _called(node)
    return found


def _tested(node: Mapping[str, Any]) -> Iterator[str]:
    """The models that a test is about: of a relationship not the one that it looks in."""
    if node["resource_type"] == "unit_test" or not node.get("attached_node"):
        yield from node["depends_on"]["nodes"]
    else:
        yield node["attached_node"]


def _called(node: Mapping[str, Any]) -> str:
    generic = node.get("test_metadata")
    if not generic:
        return str(node["name"]).replace("_", " ")
    given = generic["kwargs"]
    columns = given.get("column_name") or ", ".join(given.get("combination", []))
    return f"{generic['name'].replace('_', ' ')}: {columns}".rstrip(": ")


def _html(markdown: str) -> Markup:
    # No HTML of its own passes, see markdown-it's preset.
    return Markup(MarkdownIt("js-default").render(markdown))  # noqa: S704
