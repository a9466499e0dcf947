"""Reads XES, the format of event logs of process mining (IEEE 1849-2016).

An event is a row of its attributes by their keys; those of its case are there as `case:KEY`, as
pm4py names them, and `case:event_index` counts its events from 0. Attributes of attributes are
left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.parsers import expat

from scripts.lib.replay.reading.documents import whole
from scripts.lib.replay.reading.records import BadRow, Block, HistoryError, Row

_CHUNK = 1 << 16
_ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})


class XesRows:
    """The events of a log, read as a stream. They have no columns of their own."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._stream = stream
        self._name = name
        self.columns: list[str] | None = None
        self._path: list[str] = []
        self._case: dict[str, Any] = {}
        self._event: dict[str, Any] | None = None
        self._index = 0
        self._number = 0
        self._fault = ""
        self._ready: list[Row] = []

    def blocks(self) -> Iterator[Block]:
        """The events, in their order."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse  # without one there are no entities
        while chunk := self._stream.read1(_CHUNK):
            yield from self._parsed(parser, chunk)
        yield from self._parsed(parser, b"")

    def _parsed(self, parser: expat.XMLParserType, chunk: bytes) -> Iterator[Block]:
        fault = None
        try:
            parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            fault = error
        if self._ready:
            last = self._number + 1
            yield Block(range(last - len(self._ready), last), self._ready, len(chunk))
            self._ready = []
        if fault:
            raise HistoryError(f"{self._name}: is not XES from here on: {fault}") from fault

    def _refuse(self, *_: object) -> None:
        raise HistoryError(f"{self._name}: has a document type, which no XES needs; it is not read")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        parent = self._path[-1] if self._path else ""
        self._path.append(tag)
        if len(self._path) == 1 and tag != "log":
            raise HistoryError(f"{self._name}: is XML, but no XES: it begins with {tag!r}")
        if tag == "trace":
            self._case, self._index = {}, 0
        elif tag == "event":
            self._event, self._fault = {}, ""
        elif tag in _ATTRIBUTES and parent in ("trace", "event"):
            key = attributes.get("key", "")
            value = self._value(tag, key, attributes.get("value", ""))
            if parent == "event" and self._event is not None:
                self._event[key] = value
            else:
                self._case[f"case:{key}"] = value

    def _end(self, tag: str) -> None:
        self._path.pop()
        if tag.rpartition(":")[2] != "event" or self._event is None:
            return
        self._number += 1
        row = {**self._event, **self._case, "case:event_index": self._index}
        self._index += 1
        self._ready.append(BadRow("malformed", self._fault) if self._fault else row)
        self._event = None

    def _value(self, tag: str, key: str, text: str) -> object:
        try:
            match tag:
                case "int":
                    return whole(text.strip())
                case "float":
                    number = Decimal(text)
                    return number if number.is_finite() else None
                case "boolean":
                    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        except (ValueError, InvalidOperation, KeyError):
            self._fault = f"{key} is no {tag}"
        return text
