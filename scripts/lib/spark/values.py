"""Values: JSON, arrays and objects, and casts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce

from sqlglot import exp

from scripts.lib.spark.expressions import Rules, SparkSQL, call, raw, text, typed

# ---------- JSON: a value of PostgreSQL's jsonb is a VARIANT


def _member(node: exp.JSONExtract) -> exp.Expr:
    """`value -> key`."""
    key = node.expression
    if isinstance(key, exp.JSONPath):
        path = text("$." + key.expressions[-1].this)
        return call("variant_get", node.this, path, text("variant"))
    return call("json_member", node.this, key)


def _member_text(node: exp.JSONExtractScalar) -> exp.Expr:
    """`value ->> key`."""
    member = _member(node)  # type: ignore[arg-type]
    return exp.cast(member, "string", dialect="spark")


def _text(node: exp.JSONBExtractScalar) -> exp.Expr:
    """`value #>> '{}'`."""
    return exp.cast(node.this.copy(), "string", dialect="spark")


def _is_json(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Coalesce | exp.Case):
        return any(_is_json(each) for each in node.iter_expressions())
    if isinstance(node, exp.If):
        return _is_json(node.args["true"])
    if isinstance(node, exp.Cast):
        return node.is_type("jsonb", "variant")
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    return name in {"parse_json", "jsonb_concat", "to_variant_object", "jsonb_strip_nulls"} or (
        name == "variant_get" and node.expressions[-1].name == "variant"
    )


def _is_array(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Coalesce):
        return any(_is_array(each) for each in node.iter_expressions())
    if isinstance(node, exp.Cast):
        return bool(node.is_type("array"))
    return isinstance(node, exp.Array) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in {"array_concat", "collected"}
    )


def _parts(node: exp.Expr) -> list[exp.Expr]:
    """What `||` joins, from left to right."""
    if isinstance(node, exp.DPipe):
        return [*_parts(node.left), *_parts(node.right)]
    return [node]


def _joined(node: exp.DPipe) -> exp.Expr:
    """`||` of texts, of bytes, of arrays or of objects; one of arrays has an `array[...]` in it."""
    if isinstance(node.parent, exp.DPipe):
        return node  # with the outermost
    parts = _parts(node)
    if any(_is_array(each) for each in parts):
        empty = exp.Array(expressions=[])
        return exp.func("CONCAT", *(
            each.copy() if isinstance(each, exp.Array) else exp.func("COALESCE", each.copy(), empty)
            for each in parts
        ))  # fmt: skip
    if any(_is_json(each) for each in parts):
        return _with_members(
            "map_concat(" + ", ".join(f":p{n}" for n in range(len(parts))) + ")",
            **{f"p{n}": _members(each) for n, each in enumerate(parts)},
        )
    return exp.func("CONCAT", *(each.copy() for each in parts))


def _less(node: exp.Sub) -> exp.Expr:
    """`object - keys`; all other subtraction is of Spark too."""
    if _is_array(node.expression):
        return call("jsonb_delete", node.this, node.expression)
    return node


def _members(json: exp.Expr) -> exp.Expr:
    return exp.cast(json.copy(), "map<string, variant>", dialect="spark")


def _with_members(sql: str, **nodes: exp.Expr) -> exp.Expr:
    return call("to_variant_object", raw(sql, **nodes))


def _without_nulls(node: exp.Anonymous) -> exp.Expr:
    kept = "map_filter(:json, (name, value) -> value IS NOT NULL AND NOT is_variant_null(value))"
    return _with_members(kept, json=_members(node.expressions[0]))


def _object(node: exp.Anonymous) -> exp.Expr:
    return call("to_variant_object", call("named_struct", *node.expressions))


def _object_of_rows(node: exp.JSONBObjectAgg) -> exp.Expr:
    pair = call("struct", node.this, node.expression)
    return call("to_variant_object", call("map_from_entries", exp.ArrayAgg(this=pair)))


def _nonnulls(node: exp.Anonymous) -> exp.Expr:
    counted: list[exp.Expr] = [
        exp.cast(each.copy().is_(exp.null()).not_(), "int") for each in node.expressions
    ]
    return exp.paren(reduce(lambda left, right: exp.Add(this=left, expression=right), counted))


# ---------- casts


def _cast(node: exp.Cast) -> exp.Expr:  # noqa: PLR0911, PLR0912
    inner, to = node.this, node.to
    if to.sql().lower() == "xid8":
        return exp.cast(inner.copy(), "bigint", dialect="spark")
    if to.is_type("jsonb", "json"):
        return call("parse_json", inner)
    if isinstance(inner, exp.Literal) and inner.is_string:
        if to.is_type("array") and inner.this == "{}":
            return exp.cast(exp.Array(expressions=[]), to.sql(SparkSQL), dialect="spark")
        if to.is_type("timestamptz"):
            return exp.cast(text(_utc(inner.this)), "timestamp", dialect="spark")
    if (
        isinstance(inner, exp.Array)
        and to.is_type("array")
        and to.expressions[0].is_type("decimal")
    ):
        return exp.Cast(this=inner.copy(), to=typed(to.copy()))
    if isinstance(inner, exp.Array) or (
        to.is_type("array") and not isinstance(inner, exp.Null | exp.Literal)
    ):
        return inner  # as it is, not as text and back
    if to.is_type("text") and isinstance(inner, exp.Anonymous):
        name = inner.name.lower()
        if name == "jsonb_build_array":
            return _array_text(inner)
        if name == "trim_scale":
            return call("trimmed", *inner.expressions)
    if to.is_type("text") and isinstance(inner, exp.Cast) and inner.is_type("double"):
        return call("float8_text", inner.this)
    if to.is_type("decimal"):
        if not to.expressions:
            to = exp.DataType.build("decimal(38, 20)", dialect="spark")
        return exp.TryCast(this=inner.copy(), to=to.copy())
    return node


def _utc(moment: str) -> str:
    at = datetime.fromisoformat(moment)
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ") if at.tzinfo else moment


def _array_text(node: exp.Anonymous) -> exp.Expr:
    """The text of `jsonb_build_array`, which keys are hashes of."""
    parts: list[exp.Expr] = [text("[")]
    for place, each in enumerate(node.expressions):
        parts += [text(", ")] if place else []
        parts.append(raw("json_item(to_json(named_struct('i', :value)))", value=each))
    return exp.func("CONCAT", *parts, text("]"))


def _item(node: exp.Bracket) -> exp.Expr:
    [place] = node.expressions
    if isinstance(place, exp.Slice):
        length = raw(
            ":last - :first + 1", first=place.this, last=exp.paren(place.expression.copy())
        )
        return call("slice", node.this, place.this, length)
    if not isinstance(place, exp.Literal):  # which sqlglot counts from 0 by itself
        place = exp.Sub(this=exp.paren(place.copy()), expression=exp.Literal.number(1))
    return call("get", node.this, place)


def _without_zeros(node: exp.Anonymous) -> exp.Expr:
    """`trim_scale`, which matters where the text of a number is asked for."""
    return node if isinstance(node.parent, exp.Cast) else node.expressions[0]


RULES: Rules = {
    exp.JSONExtract: _member,
    exp.JSONExtractScalar: _member_text,
    exp.JSONBExtractScalar: _text,
    exp.JSONBObjectAgg: _object_of_rows,
    exp.DPipe: _joined,
    exp.Sub: _less,
    exp.Bracket: _item,
    exp.Cast: _cast,
}
FUNCTIONS: dict[str, Callable[[exp.Anonymous], exp.Expr]] = {
    "jsonb_build_object": _object,
    "jsonb_strip_nulls": _without_nulls,
    "num_nonnulls": _nonnulls,
    "trim_scale": _without_zeros,
}
