"""Times and texts."""

from __future__ import annotations

import re
from datetime import datetime

from sqlglot import exp

from scripts.lib.spark.expressions import Rules, call, raw, text

# ---------- times


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d(\.\d+)?)?[+-]\d\d")


def _moment(node: exp.Literal) -> exp.Expr:
    """A time with its zone, which Spark wants whole; `'infinity'` is the end of its calendar."""
    if node.is_string and _MOMENT.fullmatch(node.this):
        return text(datetime.fromisoformat(node.this).isoformat(" "))
    if node.is_string and node.this == "infinity":
        return exp.cast(text("9999-12-31 23:59:59.999999"), "timestamp", dialect="spark")
    return node


def _in_zone(node: exp.AtTimeZone) -> exp.Expr:
    """`moment at time zone`, whose session is in UTC: there, or from there where it has none."""
    zone: exp.Expr = node.args["zone"]
    moment: exp.Expr = node.this
    if zone.name == "UTC" and isinstance(zone, exp.Literal):
        return moment
    is_local = isinstance(moment.unnest(), exp.Cast) and moment.unnest().is_type(
        "timestamp", "timestampntz"
    )
    return call("to_utc_timestamp" if is_local else "from_utc_timestamp", moment, zone)


_SECONDS = "CAST(CAST(:micros AS DECIMAL(20, 0)) / 1000000 AS DECIMAL(20, 6))"


def _extracted(node: exp.Extract) -> exp.Expr:
    if node.name.upper() != "EPOCH":
        return node
    of = node.expression.unnest()
    if isinstance(of, exp.Sub):
        return raw(
            _SECONDS,
            micros=raw(
                "unix_micros(:later) - unix_micros(:earlier)", later=of.left, earlier=of.right
            ),
        )
    return raw(_SECONDS, micros=call("unix_micros", of))


# ---------- texts


def _matches(node: exp.RegexpILike) -> exp.Expr:
    return exp.RegexpLike(this=node.this.copy(), expression=_any_case(node.expression))


def _any_case(pattern: exp.Expr) -> exp.Expr:
    return text("(?i)" + pattern.name)


def _replaced(node: exp.RegexpReplace) -> exp.Expr:
    """`regexp_replace`, which in Spark is always of all matches."""
    pattern, by, flags = node.expression, node.args["replacement"], node.args.get("modifiers")
    if flags and "i" in flags.name:
        pattern = _any_case(pattern)
    by = text(re.sub(r"\\(\d)", r"$\1", by.name))
    return call("regexp_replace", node.this, pattern, by)


def _part(node: exp.Substring) -> exp.Expr:
    """`substring(text from pattern)`."""
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and start.is_string):
        return node
    group = exp.Literal.number(1 if "(" in start.this.replace("(?:", "") else 0)
    return exp.func("NULLIF", call("regexp_extract", node.this, start, group), text(""))


def _lowered(node: exp.Lower) -> exp.Expr:
    """`lower`, which in PostgreSQL is letter by letter: Spark makes two of İ, and ς of a last Σ."""
    return exp.func("LOWER", call("translate", node.this, text("\u0130\u03a3"), text("i\u03c3")))


def _hashed(node: exp.SHA2Digest) -> exp.Expr:
    return call("unhex", call("sha2", node.this, exp.Literal.number(256)))


def _encoded(node: exp.Encode) -> exp.Expr:
    return exp.func("LOWER", call("hex", node.this)) if node.args["charset"].name == "hex" else node


RULES: Rules = {
    exp.Literal: _moment,
    exp.AtTimeZone: _in_zone,
    exp.Extract: _extracted,
    exp.RegexpILike: _matches,
    exp.RegexpReplace: _replaced,
    exp.Substring: _part,
    exp.Lower: _lowered,
    exp.SHA2Digest: _hashed,
    exp.Encode: _encoded,
}
