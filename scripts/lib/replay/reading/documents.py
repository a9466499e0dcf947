"""Reads JSON: one object a line, or an array of objects."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from typing import Any, TypeVar

import msgspec

from scripts.lib.replay.mapping.values import MAX_DIGITS
from scripts.lib.replay.reading.records import (
    BLOCK_BYTES,
    BadRow,
    Block,
    HistoryError,
    Row,
    encoding_of,
    first_characters,
    in_blocks,
    text_of,
)

T = TypeVar("T")

MAX_BYTES = 4 << 20  # of one object; the collector takes a quarter of it
_CHUNK = 1 << 18
_TOO_LONG = BadRow("malformed", f"longer than {MAX_BYTES:,} bytes")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Numbers go on as they were written.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_lines = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode_lines


def whole(text: str) -> int | Decimal:
    """A whole number, however long."""
    return int(text) if len(text) <= MAX_DIGITS else Decimal(text)


_array_element = json.JSONDecoder(parse_float=Decimal, parse_int=whole)


class JsonRows:
    """The objects of a stream of bytes, NDJSON or one array. They have no columns of their own.

    With `as_lines` the lines of NDJSON are given as they stand, blank ones left out.
    """

    columns: list[str] | None = None

    def __init__(
        self, stream: io.BufferedReader, name: str, encoding: str | None, *, as_lines: bool
    ) -> None:
        head = stream.peek(_CHUNK)
        self._encoding = encoding or encoding_of(head)
        self._stream = stream
        self._name = name
        self._as_lines = as_lines
        self._is_array = first_characters(head)[:1] == b"["

    def blocks(self) -> Iterator[Block]:
        """The objects, in their order."""
        if self._is_array:
            return in_blocks(self._elements())
        return self._lines() if self._as_lines else map(_parsed, self._lines())

    def _lines(self) -> Iterator[Block]:
        if self._encoding == "utf-8":
            if self._stream.peek(3)[:3] == codecs.BOM_UTF8:
                self._stream.read(3)
            return _lines(self._stream.read1)
        text = text_of(self._stream, self._encoding)
        return _lines(lambda size: text.read(size).encode(errors="surrogatepass"))

    def _elements(self) -> Iterator[tuple[int, Row, int]]:
        """The elements of the array. What is not JSON ends it: no one can say where it goes on."""
        text = text_of(self._stream, self._encoding)
        buffer, place, number = text.read(_CHUNK), 0, 0
        place = buffer.index("[") + 1
        needs_comma = False
        while True:
            place = WHITESPACE.match(buffer, place).end()
            if place == len(buffer):
                more = text.read(_CHUNK)
                if not more:
                    raise HistoryError(
                        f"{self._name}: ends within its array, after element {number}"
                    )
                buffer, place = more, 0
                continue
            if buffer[place] == "]":
                rest = buffer[place + 1 :] + text.read(1)
                if rest.strip():
                    raise HistoryError(f"{self._name}: something follows its array")
                return
            if needs_comma and buffer[place] != ",":
                raise HistoryError(f"{self._name}: is not JSON after element {number} of its array")
            if needs_comma:
                place += 1
                needs_comma = False
                continue
            number += 1
            start, left = place, len(buffer)
            value, buffer, place = self._element(text, buffer, place, number)
            size = place - start if len(buffer) == left else place
            needs_comma = True
            if not isinstance(value, dict):
                yield number, BadRow("malformed", "not a JSON object"), size
            elif _has_surrogates(value):
                yield number, BadRow("malformed", "is not UTF-8"), size
            else:
                yield number, value, size

    def _element(
        self, text: io.TextIOWrapper, buffer: str, place: int, number: int
    ) -> tuple[Any, str, int]:
        """One element, and the buffer that goes on after it."""
        size = _CHUNK
        while True:
            try:
                value, end = _array_element.raw_decode(buffer, place)
                reason = ""
            except (ValueError, RecursionError) as wrong:
                end, reason = len(buffer), str(wrong) or "the file ends"
            if end < len(buffer):
                return value, buffer, end
            buffer, place = buffer[place:], 0
            more = text.read(size) if len(buffer) < MAX_BYTES else ""
            if not more and not reason:
                return value, buffer, len(buffer)
            if not more:
                raise HistoryError(
                    f"{self._name}: element {number} of its array is not JSON, and nothing after "
                    f"it can be read: {reason}"
                )
            buffer += more
            size *= 2


def _lines(read: Callable[[int], bytes]) -> Iterator[Block]:
    """The lines, without blank ones and the space around them."""
    number, rest, is_too_long = 0, b"", False
    while True:
        chunk = read(BLOCK_BYTES)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop() if chunk else b""
        rows: list[Row] = [*map(bytes.strip, lines)]
        places: Sequence[int] = range(number + 1, number + 1 + len(rows))
        number += len(rows)
        if is_too_long and rows:
            rows[0], is_too_long = _TOO_LONG, False
        elif is_too_long or len(rest) > MAX_BYTES:
            rest, is_too_long = b"", True
        if b"" in rows:
            places = [place for place, row in zip(places, rows, strict=True) if row != b""]
            rows = [row for row in rows if row != b""]
        if rows:
            yield Block(places, rows, len(chunk))
        if not chunk:
            return


def decoded_lines(rows: Sequence[object], decode: Callable[[bytes], list[T]]) -> list[T] | None:
    """What lines say, decoded all at once; None where one is not one object, or is no line.

    Objects side by side or over several lines cannot be taken for others: a line that begins and
    ends with a brace begins no object that another line ends.
    """
    try:
        text = b"\n".join(rows)  # type: ignore[arg-type]
        if text[:1] != b"{" or text[-1:] != b"}" or text.count(b"}\n{") != len(rows) - 1:
            return None
        found = decode(text)
    except (TypeError, *_NOT_JSON):
        return None
    return found if len(found) == len(rows) else None


def _parsed(block: Block) -> Block:
    """The objects of a block of lines."""
    rows = decoded_lines(block.rows, _decode_lines)
    return block._replace(
        rows=[parsed(row) if isinstance(row, bytes) else row for row in block.rows]
        if rows is None
        else rows
    )


def parsed(line: bytes) -> dict[str, Any] | BadRow:
    """The object of a line, or why there is none."""
    try:
        row = _decode(line)
    except _NOT_JSON as error:
        return BadRow("malformed", f"not JSON: {error}")
    return row if isinstance(row, dict) else BadRow("malformed", "not a JSON object")


def _has_surrogates(value: dict[str, Any]) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return True
    return False
