"""What every reader gives: blocks of records, each a row or why there is none."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from scripts.lib.base.cli import UserError

FORMATS = ("csv", "json", "parquet", "excel", "xes")
BLOCK_ROWS = 500
BLOCK_BYTES = 1 << 20  # of the file, about: so much of it is in memory at a time


class HistoryError(UserError):
    """The file as a whole, or the rest of it, cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Why one row could not be read."""

    code: str
    message: str


# A line of bytes where JSON may be sent as it stands.
Row = dict[str, Any] | BadRow | bytes


class Block(NamedTuple):
    """Some records, one after the other: where each is, and what it says.

    A place is a line, or a number where the file has no lines. `size` is about their bytes.
    """

    places: Sequence[int]
    rows: Sequence[Row]
    size: int

    def split(self, count: int) -> tuple[Block, Block]:
        """The first `count` records, and the others."""
        first = Block(self.places[:count], self.rows[:count], self.size)
        return first, Block(self.places[count:], self.rows[count:], 0)


class Rows(Protocol):
    """A reader: the columns, where the format has them, and the records."""

    @property
    def columns(self) -> list[str] | None:
        """The names of the columns; None where each record has its own."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The records, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a file is written, as far as it cannot be seen: the mapping's key `file`."""

    format: str | None = None
    encoding: str | None = None
    separator: str | None = None
    quote: str = '"'
    skip_lines: int = 0
    columns: Sequence[str] = ()  # names of a table without a header
    sheet: str | None = None


def in_blocks(records: Iterator[tuple[int, Row, int]]) -> Iterator[Block]:
    """Records in blocks, each given with its place and about its bytes.

    What stands before an error is given before it.
    """
    places: list[int] = []
    rows: list[Row] = []
    total = 0
    try:
        for place, row, size in records:
            places.append(place)
            rows.append(row)
            total += size
            if total >= BLOCK_BYTES or len(rows) >= BLOCK_ROWS:
                yield Block(places, rows, total)
                places, rows, total = [], [], 0
    except Exception:
        if rows:
            yield Block(places, rows, total)
        raise
    if rows:
        yield Block(places, rows, total)


def encoding_of(head: bytes) -> str:
    """The encoding that a byte order mark tells; UTF-8 where there is none."""
    return "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def first_characters(head: bytes) -> bytes:
    """The beginning of a text, without its mark, whatever its encoding."""
    return head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")


class Unpacked(io.RawIOBase):
    """What is packed, read so that all that stands before a damage is given before it is met.

    Closing it leaves open what it reads.
    """

    def __init__(self, packed: io.BufferedIOBase) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  a buffer of any kind
        read = self._packed.read1(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def text_of(stream: io.BufferedReader, encoding: str) -> io.TextIOWrapper:
    """The text of a stream, its line ends as they are; what is not in its encoding is BROKEN.

    Its record is then told, and the others are read.
    """
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    return io.TextIOWrapper(
        io.BufferedReader(Unpacked(stream)),
        encoding=encoding,
        errors="headwater_broken",
        newline="",
    )


BROKEN = "\udc80"  # stands in no text
codecs.register_error("headwater_broken", lambda error: (BROKEN, error.end))  # type: ignore[attr-defined]
