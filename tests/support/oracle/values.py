"""What a value of an activity is, where it is compared, shown or counted with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

TEXT_LENGTH = 256
MILLIONTH = Decimal("0.000001")


def number(value: object) -> Decimal | None:
    """A number, or a text that is a plain decimal one; below 10^15, to six decimals."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if abs(Decimal(value)) < 10**15:
        return Decimal(value).quantize(MILLIONTH, ROUND_HALF_UP)
    return None


def text(value: object) -> str | None:
    """A text that names something: at most 256 characters; a number as plain digits."""
    if isinstance(value, str):
        return value[:TEXT_LENGTH] or None
    found = None if isinstance(value, bool) else number(value)
    return None if found is None else plain(found)


def plain(found: Decimal) -> str:
    """A number as plain digits."""
    digits = f"{found:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def shown(value: object) -> str | None:
    """A value as that of a segment; None where it is none. Numbers are one however written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value[:TEXT_LENGTH] or None
    if isinstance(value, int | Decimal):
        exact = Decimal(value)
        if abs(exact) < 10**15 and exact == exact.quantize(MILLIONTH):
            return plain(exact)
        return repr(float(exact)) if abs(exact) <= Decimal("1e300") else None
    return None


def is_value(value: object, named: str) -> bool:
    """Whether a value is the one that a seed names."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            return value == Decimal(named)
        except ArithmeticError:
            return False
    return shown(value) == named


def moment(value: object) -> datetime | None:
    """An RFC 3339 time."""
    form = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"
    if not isinstance(value, str) or not re.fullmatch(form, value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def seconds(length: timedelta) -> Fraction:
    """How many seconds it is, exactly."""
    return Fraction(length // timedelta(microseconds=1), 10**6)


def percentile(values: Iterable[Fraction], share: Fraction) -> Fraction | None:
    """The value below which a share of the values lies, between two of them in proportion."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def percentiles(values: Sequence[Fraction], *shares: int) -> list[Fraction | None]:
    """Those at so many per cent."""
    return [percentile(values, Fraction(share, 100)) for share in shares]


def rate(part: int, whole: int) -> Fraction | None:
    """A part divided by a whole; None of nothing."""
    return Fraction(part, whole) if whole else None
