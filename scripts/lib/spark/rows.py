"""Rows that are made of values, and values of rows."""

from __future__ import annotations

from sqlglot import exp

from scripts.lib.spark.expressions import Rules, SparkSQL, call, raw, text

# ---------- rows from values


def _table(function: exp.Expr, alias: exp.Expr | None) -> exp.Lateral:
    names = alias.copy() if alias else None
    if names:  # with types, of a record
        columns = [
            each.this if isinstance(each, exp.ColumnDef) else each
            for each in names.args.get("columns", [])
        ]
        names.set("columns", columns)
    return exp.Lateral(this=function, view=False, outer=False, alias=names)


def _rows(node: exp.From | exp.Join) -> exp.Expr:
    """What stands for or beside a table and makes rows of its values."""
    what = node.this
    alias = what.args.get("alias")
    made = what.this if isinstance(what, exp.Lateral | exp.Table) else what
    if isinstance(made, exp.Unnest):
        found: exp.Expr = _elements(made)
        if offset := made.args.get("offset"):
            alias = made.args["alias"].copy()
            alias.append("columns", offset.copy())
        alias = alias or made.args.get("alias")
    elif isinstance(made, exp.ExplodingGenerateSeries | exp.GenerateSeries):
        found = _series(made)
    elif isinstance(made, exp.Subquery) and isinstance(made.this, exp.Values):
        names = alias.columns
        rows = [
            call(
                "named_struct",
                *(
                    part
                    for name, value in zip(names, row.expressions, strict=True)
                    for part in (text(name.name if hasattr(name, "name") else name), value)
                ),
            )
            for row in made.this.expressions
        ]
        found = call("inline", exp.Array(expressions=rows))
    elif isinstance(made, exp.Anonymous) and made.name.lower() == "jsonb_each_text":
        members = exp.cast(made.expressions[0].copy(), "map<string, string>", dialect="spark")
        found = call("explode", members)
    elif isinstance(made, exp.Anonymous) and made.name.lower() == "jsonb_to_recordset":
        fields = ", ".join(
            f"{each.name}: {each.args['kind'].sql(SparkSQL)}" for each in alias.args["columns"]
        )
        rows_ = exp.cast(made.expressions[0].copy(), f"array<struct<{fields}>>", dialect="spark")
        found = call("inline", rows_)
    else:
        return node
    node.set("this", _table(found, alias))
    return node


def _elements(node: exp.Unnest) -> exp.Expr:
    arrays = node.expressions
    if node.args.get("offset"):
        return raw("inline(transform(:array, (x, i) -> struct(x, i + 1)))", array=arrays[0])
    if len(arrays) > 1:
        return call("inline", call("arrays_zip", *arrays))
    return call("explode", arrays[0])


def _series(node: exp.Expr) -> exp.Expr:
    start, end, step = node.args["start"], node.args["end"], node.args.get("step")
    if step:
        return call("explode", call("sequence", start, end, step))
    series = "CASE WHEN :last >= :first THEN sequence(CAST(:first AS INT), CAST(:last AS INT)) END"
    return call("explode", raw(series, first=start, last=end))


def _array(node: exp.Array) -> exp.Expr:
    """`array(select ...)`: of elements of an array, or of rows."""
    if len(node.expressions) != 1 or not isinstance(node.expressions[0].unnest(), exp.Select):
        return node
    select = node.expressions[0].unnest()
    [value] = select.expressions
    source = (select.args.get("from_") or select.args.get("from")).this
    if not isinstance(source, exp.Unnest):
        query = select.copy()
        query.set("expressions", [call("collect_list", value.unalias())])
        return exp.func("COALESCE", exp.Subquery(this=query), exp.Array(expressions=[]))
    name = source.args["alias"].columns[0].name
    condition = select.args["where"].this.copy() if select.args.get("where") else exp.true()
    for column in list(condition.find_all(exp.Column)):
        if column.name == name:
            column.replace(exp.column("x"))
    kept = raw("filter(:array, x -> :condition)", array=source.expressions[0], condition=condition)
    return call("array_sort", call("array_distinct", kept))


def _series_alone(node: exp.From) -> exp.Expr:
    what = node.this
    made = what.this if isinstance(what, exp.Lateral | exp.Table) else what
    is_series = isinstance(made, exp.ExplodingGenerateSeries | exp.GenerateSeries)
    return _rows(node) if is_series else node


RULES: Rules = {
    exp.From: _series_alone,
    exp.Join: _rows,
    exp.Array: _array,
}
