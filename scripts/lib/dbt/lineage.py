"""From which properties of raw each column of a dbt project is made, model by model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scripts.lib.dbt.metrics import formulas
from scripts.lib.dbt.origins import ROWS, Place, Query, Tables

_JSON = {"json", "jsonb"}


@dataclass(frozen=True)
class Lineage:
    """The lineage of a project, from a manifest whose models are compiled."""

    manifest: Mapping[str, Any]
    _queries: dict[str, Query] = field(default_factory=dict, init=False)
    _parents: dict[Place, frozenset[Place]] = field(default_factory=dict, init=False)
    _roots: dict[Place, frozenset[Place]] = field(default_factory=dict, init=False)

    @cached_property
    def relations(self) -> dict[str, Mapping[str, Any]]:
        """The models, seeds and tables of sources by `schema.table`."""
        nodes = [*self.manifest["nodes"].values(), *self.manifest["sources"].values()]
        kinds = {"model", "seed", "source"}
        return {relation(node): node for node in nodes if node["resource_type"] in kinds}

    @cached_property
    def _tables(self) -> Tables:
        columns = {name: list(node["columns"]) for name, node in self.relations.items()}
        seeds = [n for n, node in self.relations.items() if node["resource_type"] == "seed"]
        return Tables(columns, frozenset(seeds))

    def query(self, name: str) -> Query:
        """The query of a model, by its relation."""
        if name not in self._queries:
            self._queries[name] = Query(self.relations[name]["compiled_code"], self._tables)
        return self._queries[name]

    def parents(self, place: Place) -> frozenset[Place]:
        """The places of other relations that a model has the value of `place` from.

        Of seeds and sources none, as of what is made of constants.
        """
        if place not in self._parents:
            found: set[Place] = set()
            if self.relations[place.relation]["resource_type"] == "model":
                found = self.query(place.relation).origins(place.column, place.path)
            # A model that goes on from its last build reads itself.
            found = {each for each in found if each.relation != place.relation}
            plain = {each._replace(path=()) for each in found if not self._is_json(each)}
            self._parents[place] = frozenset(plain | set(filter(self._is_json, found)))
        return self._parents[place]

    def _is_json(self, place: Place) -> bool:
        """Whether there can be a property in a place."""
        columns = self.relations[place.relation]["columns"]
        return place.column != ROWS and columns[place.column]["data_type"] in _JSON

    def roots(self, place: Place) -> frozenset[Place]:
        """The columns of sources and seeds, or properties in them, that `place` begins with."""
        if place not in self._roots:
            self._roots[place] = frozenset()  # for what depends on itself
            found = frozenset(root for parent in self.parents(place) for root in self.roots(parent))
            if self.relations[place.relation]["resource_type"] != "model":
                found = frozenset({place})
            self._roots[place] = found
        return self._roots[place]


def said(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a page says of it, as JSON: of each public model's columns, and of each metric.

    `columns` has by `schema.table.column` what it is made from and where that begins, `metrics` by
    name the formula, the columns that it reads and where they begin.
    """
    lineage = Lineage(manifest)
    columns = {}
    for name, node in lineage.relations.items():
        if node["resource_type"] == "model" and node["access"] == "public":
            for column in node["columns"]:
                place = Place(name, column)
                columns[str(place)] = {
                    "made_from": _texts(lineage.parents(place)),
                    "begins": _texts(lineage.roots(place)),
                }
    metrics = {}
    for name, formula in formulas(manifest).items():
        roots = {root for place in formula.places for root in lineage.roots(place)}
        metrics[name] = {
            "formula": formula.text,
            "made_from": _texts(formula.places),
            "begins": _texts(roots),
        }
    return {"columns": columns, "metrics": metrics}


def _texts(places: Iterable[Place]) -> list[str]:
    return sorted(map(str, places))


def relation(node: Mapping[str, Any]) -> str:
    """`schema.table` of a node of the manifest."""
    return f"{node['schema']}.{node.get('identifier') or node.get('alias') or node['name']}"
