"""What a built change does: to seeds, marts and the numbers of the report, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import psycopg
from jinja2 import Environment

from scripts.lib.diff.built import Built
from scripts.lib.diff.compare import columns_of, compare
from scripts.lib.diff.comparison import Comparison, Example, Relation, Wanted

_ALL_ROWS = 500  # of a seed or of a view of the report, which are small
_NUMBERS = ("bigint", "integer", "numeric")
_TOTALS = "_totals"  # the views that scripts/report prints
_NO_NUMBERS = ("_order", "_key")


@dataclass(frozen=True, slots=True)
class Definition:
    """A row of a seed that is another, new or gone: column by column what it was and is."""

    seed: str
    column: str  # the first of its key, by which marts are told apart
    value: str
    row: Example


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the report before and now, and the definitions it follows."""

    labels: Mapping[str, str]
    name: str
    before: str | None
    now: str | None
    why: str = ""


@dataclass(slots=True)
class Effects:
    """All that a change does.

    `changed` are the seeds, models and macros that are others; `built` how many seeds and models
    were. `new` and `gone` are marts that are on one side only.
    """

    changed: list[str] = field(default_factory=list)
    built: int = 0
    definitions: list[Definition] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    marts: list[Comparison] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def effects(connection: psycopg.Connection, built: Built) -> Effects:
    """Compares what was built with what prod has."""
    found = Effects()
    nodes = {key: node for key, node in built.now["nodes"].items() if key in built.ids}
    found.built = len(nodes)
    found.changed = sorted(_changed(built))
    found.new = sorted(_marts(built.now).keys() - _marts(built.before).keys())
    found.gone = sorted(_marts(built.before).keys() - _marts(built.now).keys())
    hides = _hides(built.now)

    def compared(node: Mapping[str, Any], wanted: Wanted, names: Sequence[str] = ()) -> Comparison:
        before = _relation(built, built.before["nodes"][node["unique_id"]], names)
        return compare(connection, before, _relation(built, node, names), wanted)

    known = [
        node
        for key, node in nodes.items()
        if (before := built.before["nodes"].get(key))
        and columns_of(connection, _relation(built, before))  # which prod has built
    ]
    for node in known:
        if node["resource_type"] == "seed":
            found.definitions += _definitions(compared(node, Wanted(hides, (), _ALL_ROWS)))
    groups = {definition.column for definition in found.definitions}
    found.marts = sorted(
        (compared(node, Wanted(hides, groups)) for node in known if _is_mart(node)),
        key=lambda mart: mart.name,
    )
    for node in known:
        if _is_report(node) and node["name"].endswith(_TOTALS):
            names = _named(_keys(built.now, node)[-1], node["columns"])
            view = compared(node, Wanted(hides, (), _ALL_ROWS), names)
            found.numbers += _numbers(view, node, found)
    return found


def _changed(built: Built) -> Iterator[str]:
    """The seeds, models and macros whose text is another, or that are new or gone."""
    project = built.now["metadata"]["project_name"]
    for kind, text in (("nodes", "checksum"), ("macros", "macro_sql")):
        before, now = built.before[kind], built.now[kind]
        for key in before.keys() | now.keys():
            of, package, name = key.split(".")[:3]
            if package == project and of in ("seed", "model", "macro"):
                sides = [side.get(key, {}).get(text) for side in (before, now)]
                if sides[0] != sides[1]:
                    yield f"{of} {name}"


def _marts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {node["name"]: node for node in manifest["nodes"].values() if _is_mart(node)}


def _is_mart(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] == "model" and "marts" in node["fqn"]


def _is_report(node: Mapping[str, Any]) -> bool:
    return "reports" in node["fqn"]


def _relation(built: Built, node: Mapping[str, Any], names: Sequence[str] = ()) -> Relation:
    """Where a node is, with the key that it has now on both sides; `names` stand for the key."""
    now = built.now["nodes"][node["unique_id"]]
    personal = [
        name
        for name, column in (*now["columns"].items(), *node["columns"].items())
        if column["config"].get("meta", {}).get("pii_class", "none") != "none"
    ]
    keys = _keys(built.now, now)
    return Relation(
        node["schema"], node["alias"], names or keys[0], names or keys[-1], sorted({*personal})
    )


def _keys(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> list[Sequence[str]]:
    """What is unique: by the contract's primary key and the tests; the last is of most columns."""
    found: list[Sequence[str]] = [
        [column["name"]]
        for column in node["columns"].values()
        if any(each["type"] == "primary_key" for each in column["constraints"])
    ]
    for test in manifest["nodes"].values():
        if test.get("attached_node") == node["unique_id"] and test.get("test_metadata"):
            if test["test_metadata"]["name"] == "unique":
                found.append([test["column_name"]])
            elif test["test_metadata"]["name"] == "unique_combination":
                found.append(test["test_metadata"]["kwargs"]["columns"])
    return sorted(found, key=len) or [[]]


def _hides(manifest: Mapping[str, Any]) -> str:
    """The project's own rule of what looks like personal data, of a text `value`."""
    name = "likely_personal_value"
    macro = manifest["macros"][f"macro.{manifest['metadata']['project_name']}.{name}"]["macro_sql"]
    template = Environment(autoescape=False)  # noqa: S701  it is SQL
    return template.from_string(f"{macro}{{{{ {name}('value') }}}}").render()


def _named(key: Sequence[str], columns: Mapping[str, Any]) -> list[str]:
    """A key with names of steps and bands in place of their order."""
    names = [name.removesuffix("_order") for name in key]
    return [named if named in columns else name for named, name in zip(names, key, strict=True)]


def _definitions(seed: Comparison) -> Iterator[Definition]:
    """The rows of a seed that differ, but in what they say to people."""
    for row in seed.examples:
        if row.values.keys() - {"description"}:
            yield Definition(seed.name, seed.label[0], row.label[0], row)


def _numbers(view: Comparison, node: Mapping[str, Any], found: Effects) -> Iterator[Number]:
    for row in view.examples:
        labels = dict(zip(view.label, row.label, strict=True))
        for name, (before, now) in row.values.items():
            kind = node["columns"][name]["data_type"]
            if kind in _NUMBERS and not name.endswith(_NO_NUMBERS):
                number = Number(labels, name, before, now)
                yield replace(number, why=_why(number, found))


def _why(number: Number, found: Effects) -> str:
    """Which rows make the difference, and by which definitions of what the number is about."""
    labels = number.labels
    defined = [each for each in found.definitions if labels.get(each.column) == each.value]
    if not defined:
        return _only_reason(found)
    groups = {each.column for each in defined}
    whose = "; ".join(dict.fromkeys(said(each.row) for each in defined))
    more = int(Decimal(number.now or 0) - Decimal(number.before or 0))
    for mart in found.marts:
        for (group, other), moves in mart.moves_by.items():
            if group in groups and other in labels.keys() - groups:
                mine = [move for move in moves if move.group == labels[group]]
                came = sum(move.rows for move in mine if move.now == labels[other])
                went = sum(move.rows for move in mine if move.before == labels[other])
                if came - went == more:  # these rows and no others
                    came_and_went = (
                        (came, f"{came:,} {number.name}"),
                        (went, f"{went:,} {'' if came else number.name + ' '}fewer"),
                    )
                    counts = [text for rows, text in came_and_went if rows]
                    return f"{' and '.join(counts)} whose {whose}" if counts else whose
    return whose


def _only_reason(found: Effects) -> str:
    """The definition that all follows, where nothing else was changed."""
    reasons = {f"{each.value}: {said(each.row)}" for each in found.definitions}
    is_only = len(reasons) == 1 and all(name.startswith("seed ") for name in found.changed)
    return reasons.pop() if is_only else ""


def said(row: Example) -> str:
    """What a row of definitions says now."""
    if row.what != "changed":
        return f"{' '.join(row.label)} is {'new' if row.what == 'added' else 'gone'}"
    return ", ".join(
        f"{name.removesuffix('_days')} is now {_with_unit(name, now)} (was {before or 'none'})"
        for name, (before, now) in row.values.items()
        if name != "description"
    )


def _with_unit(name: str, value: str | None) -> str:
    return f"{value} days" if value and name.endswith("_days") else value or "none"
