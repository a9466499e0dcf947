"""Times as histories write them, made RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCHS: dict[str, Decimal] = {
    "epoch_s": Decimal(1_000_000), "epoch_ms": Decimal(1_000), "epoch_us": Decimal(1),
    "epoch_ns": Decimal("0.001"),
}  # fmt: skip
# dbt moves a time outside of this to its edge: dbt_project/macros/casts/plausible_time.sql.
OLDEST = timedelta(hours=438_000)
NEWEST = timedelta(hours=24)
# What the collector takes as it is (collector/times.py), but for leap seconds.
RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"([Zz]|[+-](0\d|1[0-5]):[0-5]\d)",
    re.ASCII,
)
_ISO = re.compile(
    r"(\d{4})([-/]?)(\d\d)\2(\d\d)"
    r"(?:[Tt ]+(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s*([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeError(Exception):
    """Why a text is no time."""


class TimeReader:
    """Reads the times of one field; `told` is called with what is worth telling of one of them.

    With `local_epochs` an epoch counts from 1970 in the time zone, as some products export it.
    """

    def __init__(
        self,
        formats: Sequence[str],
        time_zone: str | None,
        shift: timedelta,
        told: Callable[[str], None],
        *,
        local_epochs: bool = False,
    ) -> None:
        self._formats = formats or ("iso",)
        self._zone = zone(time_zone) if time_zone else None
        self._shift = shift
        self._told = told
        self._local_epochs = local_epochs
        self._as_it_is = "iso" in self._formats and not shift

    def read(self, value: object) -> str:
        """The time in RFC 3339. Raises TimeError."""
        if self._as_it_is and type(value) is str and RFC3339.fullmatch(value):
            return value
        text = value if isinstance(value, str) else _digits(value)
        text = text.strip()
        reasons = []
        for each in self._formats:
            try:
                moment = self._moment(text, each)
            except (TimeError, ValueError, OverflowError, InvalidOperation) as error:
                reasons.append(error)
                continue
            return _written(moment + self._shift)
        raise (
            reasons[0]
            if isinstance(reasons[0], TimeError)
            else TimeError("is no time of that format")
        )

    def _moment(self, text: str, form: str) -> datetime:
        if form == "iso":
            return self._iso(text)
        if form in EPOCHS:
            moment = _EPOCH + timedelta(microseconds=int(Decimal(text) * EPOCHS[form]))
            return self._zoned(moment.replace(tzinfo=None)) if self._local_epochs else moment
        return self._zoned(datetime.strptime(text, form))  # noqa: DTZ007

    def _iso(self, text: str) -> datetime:
        found = _ISO.fullmatch(text)
        if not found:
            if re.fullmatch(r"-?\d{9,20}(\.\d+)?", text):
                raise TimeError("is a number: say format: epoch_s, epoch_ms, epoch_us or epoch_ns")
            raise TimeError("is not like 2026-01-31T12:00:00Z: say how it is with format:")
        year, _, month, day, hour, minute, second, fraction, offset = found.groups()
        second = min(
            int(second or 0), 59
        )  # a leap second is the one before it, as at the collector
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), second)  # noqa: DTZ001
        moment += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
        if offset is None:
            return self._zoned(moment)
        if offset in ("Z", "z", "UTC", "GMT"):
            return moment.replace(tzinfo=UTC)
        hours, minutes = int(offset[:3]), int(offset[3:].replace(":", "") or 0)
        away = timedelta(
            hours=hours, minutes=minutes if hours >= 0 and offset[0] == "+" else -minutes
        )
        return (moment - away).replace(tzinfo=UTC)

    def _zoned(self, moment: datetime) -> datetime:
        if moment.tzinfo is not None:
            return moment
        if self._zone is None:
            raise TimeError("has no time zone: say time_zone: UTC, or another of the IANA's names")
        first, second = moment.replace(tzinfo=self._zone), moment.replace(tzinfo=self._zone, fold=1)
        if first.utcoffset() != second.utcoffset():
            back = first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None)
            if back == moment:
                self._told(
                    "times in the hour that a clock going back has twice: the first is taken"
                )
            else:
                self._told("times in the hour that a clock going forward leaves out")
        return first


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of the IANA, like Europe/Rome") from None


def is_plausible(text: str, now: datetime) -> bool:
    """Whether dbt takes an RFC 3339 time as it is, received `now`. Raises ValueError for none."""
    moment = datetime.fromisoformat(text.upper())
    return now - OLDEST <= moment <= now + NEWEST


def _digits(value: object) -> str:
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return format(Decimal(str(value)), "f")
    raise TimeError("is neither a text nor a number")


def _written(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return utc.isoformat().replace("+00:00", "Z")
