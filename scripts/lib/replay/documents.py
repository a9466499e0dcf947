"""Reads JSON: one object a line, or an array of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from typing import Any

import msgspec

from scripts.lib.replay.rows import BadRow, HistoryError, Record
from scripts.lib.replay.values import MAX_DIGITS

MAX_BYTES = 4 << 20  # of one object; the collector takes a quarter of it
_CHUNK = 1 << 18
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb": "utf-8-sig"}
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # numbers go on as they were written


def whole(text: str) -> int | Decimal:
    """A whole number, however long."""
    return int(text) if len(text) <= MAX_DIGITS else Decimal(text)


_array_element = json.JSONDecoder(parse_float=Decimal, parse_int=whole)


class JsonRows:
    """The objects of a stream of bytes, NDJSON or one array. They have no columns of their own."""

    def __init__(self, stream: io.BufferedReader, name: str, encoding: str | None) -> None:
        head = stream.peek(_CHUNK)
        self._encoding = encoding or _BOMS.get(head[:2], "utf-8")
        self._stream = stream
        self._name = name
        self._is_array = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"["
        self.columns: list[str] | None = None

    def __iter__(self) -> Iterator[Record]:
        return self._elements() if self._is_array else self._objects()

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """The lines with their numbers, blank ones left out; None for one that is too long."""
        if self._encoding == "utf-8":
            yield from _lines(self._stream.readline)
            return
        text = io.TextIOWrapper(self._stream, encoding=self._encoding, errors="replace")
        try:
            yield from _lines(lambda size: text.readline(size).encode())
        finally:
            text.detach()

    @property
    def is_lines(self) -> bool:
        """Whether each object is a line."""
        return not self._is_array

    def _objects(self) -> Iterator[Record]:
        for number, line in self.lines():
            yield Record(number, parsed(line))

    def _elements(self) -> Iterator[Record]:
        """The elements of the array. What is not JSON ends it: no one can say where it goes on."""
        encoding = "utf-8-sig" if self._encoding == "utf-8" else self._encoding
        text = io.TextIOWrapper(self._stream, encoding=encoding, errors="surrogateescape")
        try:
            yield from self._elements_of(text)
        finally:
            text.detach()  # else it would close the file that it reads

    def _elements_of(self, text: io.TextIOWrapper) -> Iterator[Record]:
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
            value, buffer, place = self._element(text, buffer, place, number)
            needs_comma = True
            if not isinstance(value, dict):
                yield Record(number, BadRow("malformed", "not a JSON object"))
            elif _has_surrogates(value):
                yield Record(number, BadRow("malformed", "is not UTF-8"))
            else:
                yield Record(number, value)

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


def _lines(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := read(MAX_BYTES):
        number += 1
        if len(line) >= MAX_BYTES and not line.endswith(b"\n"):
            while (more := read(MAX_BYTES)) and not more.endswith(b"\n"):
                pass
            yield number, None
        elif not line.isspace():
            yield number, line


def parsed(line: bytes | None) -> dict[str, Any] | BadRow:
    """The object of a line, or why there is none."""
    if line is None:
        return BadRow("malformed", f"longer than {MAX_BYTES:,} bytes")
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadRow("malformed", f"not JSON: {error}")
    return row if isinstance(row, dict) else BadRow("malformed", "not a JSON object")


def _has_surrogates(value: dict[str, Any]) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return True
    return False
