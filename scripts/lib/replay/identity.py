"""Gives events their ids, so that what is sent again, from whatever file, is the same event.

An event without an `eventId` of its own is known by what it says, and, where its history says the
same several times, by which of these it is: the file's name, packing and order do not matter, and
neither does a mapping that is spelt otherwise. One that does not say when it happened is known by
the name of its file as well; a `dataset` keeps apart what is to count apart.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

MAX_IN_MEMORY = 300_000  # of what was seen: about 60 MB
_encode = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


class Named(NamedTuple):
    """An event as it is sent, its id, and a hash of what it says besides.

    `standing` is "" for the first under its id, "repeated" for one that says the same under the
    same id, "conflict" for one that says something else.
    """

    event_id: str
    text: bytes
    content: int
    standing: str


class Raw(NamedTuple):
    """An event that is a line of the file and has an id: it is sent as it stands."""

    event_id: str
    text: bytes


class Identity:
    """The ids of the events of one replay, in the order of the history."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._seen = _Seen()

    def close(self) -> None:
        """Drops what was seen."""
        self._seen.close()

    def first_of(self, lines: Sequence[tuple[str, bytes]]) -> list[tuple[str, int]] | None:
        """The ids of events with hashes of what they say; None where one was there before.

        Then nothing is noted, and `name` tells more.
        """
        pairs = [(event_id, crc32(text)) for event_id, text in lines]
        keys = [hash(event_id) for event_id, _ in pairs]
        if not self._seen.add_new(keys, pairs):
            return None
        return pairs

    def name(self, events: Iterable[tuple[Raw | dict[str, Any], str]]) -> list[Named]:
        """Names events, each given with the name of its file, without its packing."""
        described = [self._described(event, file) for event, file in events]
        self._seen.fetch(key for key, *_ in described)
        named = []
        for key, own, text, content, salt in described:
            count, first = self._seen.count(key, content)
            if own is None:
                mark = f"{salt}\0{count}\0".encode()
                event_id = blake2b(mark + text, digest_size=16).hexdigest()
                named.append(Named(event_id, with_id(event_id, text), content, ""))
            else:
                standing = "" if count == 1 else "repeated" if first == content else "conflict"
                named.append(Named(own, text, content, standing))
        self._seen.spill()
        return named

    def _described(
        self, event: Raw | dict[str, Any], file: str
    ) -> tuple[int, str | None, bytes, int, str]:
        if isinstance(event, Raw):
            return hash(event.event_id), event.event_id, event.text, crc32(event.text), ""
        own = event.pop("eventId", None)
        text = _encode(event)
        content = crc32(text)
        if own is not None:
            return hash(own), own, with_id(own, text), content, ""
        salt = self._dataset or ("" if "occurredAt" in event else file)
        return hash((salt, text)), None, text, content, salt


def with_id(event_id: str, text: bytes) -> bytes:
    """A JSON object of an event with its id in it."""
    return b'{"eventId":' + _encode(event_id) + (b"," if len(text) > 2 else b"") + text[1:]


class _Seen:
    """How often each key came, and what its first event said: in memory, most of it on disk."""

    def __init__(self) -> None:
        self._recent: dict[int, tuple[int, int]] = {}
        self._disk: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._disk:
            self._disk.close()

    def count(self, key: int, content: int) -> tuple[int, int]:
        count, first = self._recent.get(key, (0, content))
        self._recent[key] = count + 1, first
        return count + 1, first

    def add_new(self, keys: Sequence[int], pairs: Sequence[tuple[str, int]]) -> bool:
        """Notes keys that are all new, or notes none."""
        self.fetch(keys)
        recent = self._recent
        if len(set(keys)) < len(keys) or not recent.keys().isdisjoint(keys):
            return False
        recent.update(zip(keys, [(1, content) for _, content in pairs], strict=True))
        self.spill()
        return True

    def fetch(self, keys: Iterable[int]) -> None:
        """Brings what the disk knows of these into memory."""
        if self._disk is None:
            return
        wanted = [key for key in keys if key not in self._recent]
        query = "select key, count, first from seen where key in (select value from json_each(?))"
        with closing(self._disk.execute(query, [json.dumps(wanted)])) as rows:
            self._recent.update({key: (count, first) for key, count, first in rows})

    def spill(self) -> None:
        if len(self._recent) < MAX_IN_MEMORY:
            return
        if self._disk is None:
            self._disk = sqlite3.connect("")  # a file of its own, gone when it is closed
            self._disk.execute("pragma cache_size = -32768")
            self._disk.execute("pragma journal_mode = off")
            self._disk.execute("create table seen (key integer primary key, count int, first int)")
        rows = ((key, *value) for key, value in sorted(self._recent.items()))
        with self._disk:
            self._disk.executemany("insert or replace into seen values (?, ?, ?)", rows)
        self._recent = {}
