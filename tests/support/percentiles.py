"""Percentiles of times as the marts have them, and the exact ones."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from tests.support.macros import render
from tests.support.oracle.values import percentiles

SHARES = (50, 90, 95)
GROUPS = 400
_MILLISECOND = Decimal("0.001")


def percentiles_of_times() -> tuple[str, list[tuple[object, ...]]]:
    """A query for those of groups of times, seconds to a year long, and what it has to find.

    Times have milliseconds, as in all facts, so that many a percentile is half of one.
    """
    dice = random.Random(23)
    groups = [
        [Decimal(dice.randint(0, 10 ** dice.randint(2, 10))).scaleb(-3) for _ in range(count)]
        for count in (dice.randint(1, 25) for _ in range(GROUPS))
    ]
    values = ", ".join(
        f"({n}, {time}::numeric)" for n, times in enumerate(groups) for time in times
    )
    several = f"array[{', '.join(str(share / 100) for share in SHARES)}]"
    found = f"(percentile_cont({several}) within group (order by v)::numeric[])"
    columns = [
        *(render("to_millisecond", f"{found}[{place}]") for place in range(1, len(SHARES) + 1)),
        *(render("percentile", str(share / 100), "v") for share in SHARES),
    ]
    query = f"select {', '.join(columns)} from (values {values}) as t (g, v) group by g order by g"  # noqa: S608
    exact = [_rounded(percentiles([Fraction(time) for time in times], *SHARES)) for times in groups]
    return query, [tuple(row * 2) for row in exact]


def _rounded(found: list[Fraction | None]) -> list[Decimal]:
    return [
        (Decimal(each.numerator) / each.denominator).quantize(_MILLISECOND, ROUND_HALF_UP)
        for each in found
        if each is not None
    ]
