"""Times in JSON: RFC 3339, which the contract asks for, and what SDKs send instead. No I/O."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from msgspec import DecodeError, Meta, Raw
from msgspec.json import Decoder, encode

# RFC 3339, section 5.6, with offsets as far as PostgreSQL takes them.
_TIME = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
    r"(\.[0-9]{1,9})?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])\Z"
)
Timestamp = Annotated[str, Meta(pattern=_TIME, extra_json_schema={"format": "date-time"})]

_rfc_3339, _scalar = Decoder[str](Timestamp), Decoder[str | int | float](str | int | float)
_ZONE = re.compile(r"[\s:]*(?:(?P<utc>Z|UTC|GMT)|(?P<offset>[+-]\d\d(?::?\d\d)?))\Z")
_EPOCH = re.compile(r"\d{10}(?:\.\d+)?|\d{13}|\d{16}|\d{19}")
# From 1973 to 5138 in seconds, milliseconds, microseconds and nanoseconds; none is another's.
_FIRST_EPOCH, _NEXT_UNIT, _UNITS = 1e8, 1000, (1, 1e3, 1e6, 1e9)


def parse_time(text: str) -> datetime:
    """The time in an RFC 3339 text; raises ValueError for a day that is in no calendar."""
    # A leap second counts as the second before it, as in dbt's `json_timestamptz`.
    return datetime.fromisoformat(text.upper().replace(":60", ":59"))


def sdk_times(timestamp: Raw | None, sent_at: Raw | None) -> tuple[Raw | None, Raw | None]:
    """When an SDK says that something happened and that it was sent, as RFC 3339.

    The first is None where that cannot be known: then the time of receipt is the best there is. A
    time without a zone is one of a clock whose zone is not known. Together with a `sent_at` of the
    same kind it still says how long before that it was, so both are given, as if in UTC.
    """
    occurred, sent = _moment(timestamp), _moment(sent_at)
    if occurred is None:
        return None, None
    if sent is not None and (occurred.tzinfo is None) != (sent.tzinfo is None):
        sent = None
    if occurred.tzinfo is None and sent is None:
        return None, None
    return _written(timestamp, occurred), None if sent is None else _written(sent_at, sent)


def _moment(value: Raw | None) -> datetime | None:
    """The time that a value means, naive where it has no zone; None where it means none."""
    try:
        given = None if value is None else _scalar.decode(value)
        if isinstance(given, str):
            return _from_text(given.strip().upper().replace(":60", ":59"))
        return None if given is None else _from_epoch(given)
    except (DecodeError, OverflowError, ValueError):
        return None


def _from_text(text: str) -> datetime | None:
    if _EPOCH.fullmatch(text):
        return _from_epoch(float(text))
    zone = _ZONE.search(text)
    local = text[: zone.start()] if zone else text
    if len(local) < len("20260131T12"):  # a day is no time
        return None
    moment = datetime.fromisoformat(local)
    if zone is None or moment.tzinfo:
        return moment
    return datetime.fromisoformat(moment.isoformat() + (zone["offset"] or "+00:00")).astimezone(UTC)


def _from_epoch(number: float) -> datetime | None:
    last = _FIRST_EPOCH
    for unit in _UNITS:
        if last <= number < last * _NEXT_UNIT:
            return datetime.fromtimestamp(number / unit, UTC)
        last *= _NEXT_UNIT
    return None


def _written(value: Raw | None, moment: datetime) -> Raw:
    """The time as it was sent, if that is RFC 3339, else as one."""
    if value is not None:
        try:
            _rfc_3339.decode(value)
        except DecodeError:
            pass
        else:
            return value
    return Raw(encode(moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()))
