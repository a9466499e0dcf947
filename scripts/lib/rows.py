"""Reads the rows of a CSV or NDJSON history, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from scripts.lib.cli import UserError

MAX_CELL = 1 << 20  # the collector takes no event above 1 MiB


class _EventId(msgspec.Struct):
    eventId: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815  as in the JSON


_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # numbers go on as they were written
_decode_event_id = msgspec.json.Decoder(_EventId).decode


class HistoryError(UserError):
    """The file as a whole cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Why one row could not be read."""

    code: str
    message: str


def is_csv(path: Path) -> bool:
    """Tells CSV from NDJSON by the name. Raises HistoryError where it is neither."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".csv"):
        return True
    if name.endswith((".ndjson", ".jsonl")):
        return False
    raise HistoryError(f"{path}: the name must end in .csv, .ndjson or .jsonl, optionally .gz")


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file. Raises HistoryError where it cannot be read."""
    try:
        with path.open("rb") as raw, _text(path, raw) as lines:
            return next(csv.reader(lines), [])
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        raise HistoryError(f"{path}: {error or 'ends early'}") from error


def read_rows(path: Path, raw: BinaryIO) -> Iterator[dict[str, Any] | BadRow]:
    """The rows of `raw`, the opened file of `path`, one dictionary or BadRow each.

    Values of CSV are text. Raises HistoryError where the compressed data is damaged.
    """
    try:
        if is_csv(path):
            lines = _text(path, raw)
            try:
                yield from _csv_rows(lines)
            finally:
                lines.detach()  # else it would close `raw`
        else:
            yield from _json_rows(_binary(path, raw))
    except (EOFError, OSError, zlib.error) as error:
        raise HistoryError(f"{path}: {error or 'ends early'}") from error


def read_events(path: Path, raw: BinaryIO) -> Iterator[bytes | dict[str, Any] | BadRow]:
    """As `read_rows`, of NDJSON; the line itself, as it is, of a row with an `eventId`.

    Such a row needs nothing added, and most of its time would go into taking it apart. Whether the
    rest of it is right is the collector's to say.
    """
    try:
        for line in _binary(path, raw):
            try:
                has_event_id = _decode_event_id(line).eventId is not msgspec.UNSET
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                has_event_id = False
            if has_event_id:
                yield line.strip()
            else:
                yield from _json_rows([line])
    except (EOFError, OSError, zlib.error) as error:
        raise HistoryError(f"{path}: {error or 'ends early'}") from error


def _csv_rows(lines: io.TextIOWrapper) -> Iterator[dict[str, Any] | BadRow]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(lines)
    header = next(reader, [])
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow("malformed", f"not CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield BadRow("malformed", f"has {len(cells)} cells where the header has {len(header)}")
        elif not "".join(cells).isascii() and any(map(_has_surrogate, cells)):
            yield BadRow("malformed", "is not UTF-8")
        else:
            yield dict(zip(header, cells, strict=True))


def _json_rows(lines: Iterable[bytes]) -> Iterator[dict[str, Any] | BadRow]:
    for line in lines:
        if not line.strip():
            continue
        try:
            row = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow("malformed", f"not JSON: {error}")
            continue
        yield row if isinstance(row, dict) else BadRow("malformed", "not a JSON object")


def _binary(path: Path, raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.open(raw)) if path.suffix.lower() == ".gz" else raw


def _text(path: Path, raw: BinaryIO) -> io.TextIOWrapper:
    # Broken UTF-8 becomes surrogates, so that it spoils its own row only.
    return io.TextIOWrapper(
        _binary(path, raw), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )


def _has_surrogate(cell: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in cell)
