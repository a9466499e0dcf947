"""Aggregates, windows, and which rows."""

from __future__ import annotations

from sqlglot import exp

from scripts.lib.spark.expressions import Rules, call, raw, text

# ---------- aggregates and windows


def collect(node: exp.Expr) -> None:
    """`array_agg` and `jsonb_agg`: of values in an order, of one of them, of those that differ."""
    inner = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    order: list[exp.Ordered] = []
    if isinstance(inner, exp.Order):
        inner, order = inner.this, inner.expressions
    top, condition = node, None
    if isinstance(node.parent, exp.Filter):
        top = node.parent
        condition = top.expression
    whole = top
    while isinstance(whole.parent, exp.Paren):
        whole = whole.parent

    def kept(aggregate: exp.Expr) -> exp.Expr:
        if condition is None:
            return aggregate
        return exp.Filter(this=aggregate, expression=condition.copy())

    keys = call("struct", *(each.this for each in order))
    if isinstance(whole.parent, exp.Bracket):  # (array_agg(value order by ...))[1]
        is_last = order[0].args.get("desc")
        whole.parent.replace(kept(call("max_by" if is_last else "min_by", inner, keys)))
        return
    if isinstance(inner, exp.Distinct):
        found: exp.Expr = kept(call("collect_set", inner.expressions[0]))
    elif order:
        rows = kept(call("collect_list", call("named_struct", text("k"), keys, text("v"), inner)))
        found = raw("transform(array_sort(:rows), r -> r.v)", rows=rows)
    else:
        found = kept(call("collect_list", inner))
    # Of nothing PostgreSQL makes null, and Spark an empty array.
    found = exp.func("NULLIF", found, exp.Array(expressions=[]))
    if isinstance(node, exp.Anonymous):
        for each in found.find_all(exp.Anonymous):
            if each.name == "jsonb_build_object":  # not yet, so that rows can be sorted
                each.set("this", "named_struct")
        found = call("to_variant_object", found)
    top.replace(found)


# To the 15 digits that a float8 has as `numeric`. A place among the values is a float8 as well.
_PERCENTILE = """
    get(transform(array(sort_array(collect_list(CAST(:value AS DOUBLE)))), v ->
        CASE WHEN size(v) > 0 THEN CAST(format_string('%.14e',
            get(v, CAST(FLOOR(:place) AS INT))
            + (get(v, CAST(CEIL(:place) AS INT)) - get(v, CAST(FLOOR(:place) AS INT)))
            * (:place - FLOOR(:place))
        ) AS DECIMAL(38, 20)) END
    ), 0)
""".replace(":place", "(CAST(:f AS DOUBLE) * (size(v) - 1))")


def _percentile(node: exp.WithinGroup) -> exp.Expr:
    """`percentile_cont`, by PostgreSQL's arithmetic."""
    if not isinstance(node.this, exp.PercentileCont):
        return node
    value = node.expression.expressions[0].this
    fraction = node.this.this
    if isinstance(fraction, exp.Array):
        return exp.Array(
            expressions=[raw(_PERCENTILE, value=value, f=each) for each in fraction.expressions]
        )
    return raw(_PERCENTILE, value=value, f=fraction)


def _first_of_each(node: exp.Select) -> exp.Expr:
    """`select distinct on (...) ... order by ...`; and no limit where there is no table."""
    if not node.args.get("from_") and not node.args.get("from") and node.args.get("limit"):
        node.set("limit", None)
    node.set("offset", None)
    distinct = node.args.get("distinct")
    if distinct and distinct.args.get("on"):
        window = exp.Window(
            this=exp.RowNumber(),
            partition_by=[each.copy() for each in distinct.args["on"].expressions],
            order=node.args["order"].copy(),
        )
        node.set("distinct", None)
        node.set("order", None)
        node.set("qualify", exp.Qualify(this=exp.EQ(this=window, expression=exp.Literal.number(1))))
    return node


def _among(node: exp.In) -> exp.Expr:
    """`value in (select ...)`, which Spark has in conditions only."""
    query = node.args.get("query")
    above = node.parent
    while isinstance(above, exp.And | exp.Or | exp.Not | exp.Paren):
        above = above.parent
    if query is None or isinstance(above, exp.Where):
        return node
    select = query.unnest().copy()
    [value] = select.expressions
    select.set("expressions", [call("collect_list", value.unalias())])
    return call("array_contains", exp.Subquery(this=select), node.this)


RULES: Rules = {
    exp.WithinGroup: _percentile,
    exp.Select: _first_of_each,
    exp.In: _among,
}
