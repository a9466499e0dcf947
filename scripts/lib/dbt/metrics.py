"""How each metric of the semantic layer is computed, from dbt's manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp, parse_one

from scripts.lib.dbt.origins import Place
from scripts.lib.dbt.uses import Dialect

_AGGREGATES = {
    "count": "count({expr})",
    "count_distinct": "count(distinct {expr})",
    "percentile": "percentile_cont({share}) within group (order by {expr})",
    "sum": "sum({expr})",
}
_DIMENSION = re.compile(r"\{\{\s*(?:Time)?Dimension\('([^']+)'[^)]*\)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Formula:
    """What a metric is computed by, in words of SQL, from which places of which marts."""

    text: str
    places: frozenset[Place]


def formulas(manifest: Mapping[str, Any]) -> dict[str, Formula]:
    """The formula of each metric by its name. Raises KeyError where an aggregate is unknown."""
    measures = {}
    for model in manifest["semantic_models"].values():
        for measure in model["measures"]:
            measures[measure["name"]] = _measured(model, measure)
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    found: dict[str, Formula] = {}
    for name, metric in metrics.items():
        found[name] = _formula(metric, metrics, measures)
    return found


def _formula(
    metric: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]],
    measures: Mapping[str, Formula],
) -> Formula:
    parameters = metric["type_params"]
    if metric["type"] == "ratio":
        parts = [parameters[part]["name"] for part in ("numerator", "denominator")]
        text = " / ".join(parts)
    elif metric["type"] == "derived":
        parts = [part["name"] for part in parameters["metrics"]]
        text = parameters["expr"]
    else:
        parts, inputs = [], [measures[measure["name"]] for measure in parameters["input_measures"]]
        text = ", ".join(formula.text for formula in inputs)
    if parts:
        inputs = [_formula(metrics[part], metrics, measures) for part in parts]
    places = frozenset[Place]().union(*(formula.places for formula in inputs))
    where = "".join(f" where {condition}" for condition in _conditions(metric))
    return Formula(text + where, places)


def _conditions(metric: Mapping[str, Any]) -> Iterator[str]:
    for each in (metric["filter"] or {"where_filters": []})["where_filters"]:
        yield _DIMENSION.sub(r"\1", each["where_sql_template"])


def _measured(model: Mapping[str, Any], measure: Mapping[str, Any]) -> Formula:
    expression = measure["expr"] or measure["name"]
    share = (measure["agg_params"] or {}).get("percentile")
    text = _AGGREGATES[measure["agg"]].format(expr=expression, share=share)
    if stock := measure["non_additive_dimension"]:
        text += f" on the last {stock['name']}"
    relation = f"{model['node_relation']['schema_name']}.{model['node_relation']['alias']}"
    columns = parse_one(expression, dialect=Dialect).find_all(exp.Column)
    places = frozenset(Place(relation, column.name) for column in columns)
    return Formula(f"{text} from {model['node_relation']['alias']}", places)
