"""PostgreSQL's SQL of the models as that of Spark: each rule is for a kind of expression.

What sqlglot translates by itself (types, the order of nulls, windows) is in no rule. Functions that
Spark lacks are in `functions.sql`, under the names that PostgreSQL or the macros have for them.
"""

from __future__ import annotations

from sqlglot import exp, parse_one

from scripts.lib.spark import aggregates, rows, texts, values
from scripts.lib.spark.expressions import PostgreSQL, Rules, SparkSQL, call, text


def _function(node: exp.Anonymous) -> exp.Expr:
    if node.name.lower() == "convert_to":
        return call("encode", node.expressions[0], text("UTF-8"))
    rule = values.FUNCTIONS.get(node.name.lower())
    return rule(node) if rule else node


RULES: Rules = (
    values.RULES | texts.RULES | aggregates.RULES | rows.RULES | {exp.Anonymous: _function}
)


def to_spark(sql: str) -> str:
    """A query of PostgreSQL as one of Spark. Raises ParseError where it is none."""
    tree: exp.Expr = parse_one(sql, read=PostgreSQL)
    for aggregate in list(tree.find_all(exp.ArrayAgg, exp.Anonymous)):
        if isinstance(aggregate, exp.ArrayAgg) or aggregate.name.lower() == "jsonb_agg":
            aggregates.collect(aggregate)
    for node in reversed(list(tree.walk(bfs=False))):  # what is within first
        rule = RULES.get(type(node))
        changed = rule(node) if rule else node
        if changed is not node:
            tree = changed if node is tree else tree
            node.replace(changed)
    return tree.sql(dialect=SparkSQL, pretty=True)
