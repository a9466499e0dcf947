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

from scripts.lib.replay.state import Sent

MAX_IN_MEMORY = 600_000  # of what was seen: about 60 MB
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

    def are_new(self, sent: Sent) -> bool:
        """Whether no id was there before; else nothing is noted, and `name` tells more."""
        return self._seen.add_new(list(map(hash, sent.event_ids)), sent.contents)

    def name(self, events: Iterable[Raw | dict[str, Any]], files: Iterable[str]) -> list[Named]:
        """Names events, with the names of their files, which are those without their packing."""
        described = [self._described(*each) for each in zip(events, files, strict=True)]
        self._seen.fetch([key for key, *_ in described])
        named = []
        for key, own, text, content, salt in described:
            count, first = self._seen.count(key, content)
            if own is None:
                mark = f"{salt}\0{count}\0".encode()
                event_id = blake2b(mark + text, digest_size=16).hexdigest()
                named.append(
                    Named(event_id, _with_id(b'"%b"' % event_id.encode(), text), content, "")
                )
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
            return hash(own), own, _with_id(_encode(own), text), content, ""
        salt = self._dataset or ("" if "occurredAt" in event else file)
        return hash((salt, text)), None, text, content, salt


def _with_id(event_id: bytes, text: bytes) -> bytes:
    """A JSON object of an event with its id, JSON too, in it."""
    return b'{"eventId":%b%b%b' % (event_id, b"," if len(text) > 2 else b"", text[1:])


class _Seen:
    """How often each key came, and what its first event said: in memory, most of it on disk.

    Both are one number, the latter its lower 32 bits.
    """

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._disk: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._disk:
            self._disk.close()

    def count(self, key: int, content: int) -> tuple[int, int]:
        value = self._recent.get(key, content) + (1 << 32)
        self._recent[key] = value
        return value >> 32, value & 0xFFFFFFFF

    def add_new(self, keys: Sequence[int], contents: Sequence[int]) -> bool:
        """Notes keys that are all new, or notes none."""
        self.fetch(keys)
        recent = self._recent
        if len(set(keys)) < len(keys) or not recent.keys().isdisjoint(keys):
            return False
        recent.update(zip(keys, [content + (1 << 32) for content in contents], strict=True))
        self.spill()
        return True

    def fetch(self, keys: Sequence[int]) -> None:
        """Brings what the disk knows of these into memory."""
        if self._disk is None:
            return
        query = "select key, value from seen where key in (select value from json_each(?))"
        with closing(self._disk.execute(query, [json.dumps(keys)])) as rows:
            for key, value in rows:
                self._recent.setdefault(key, value)

    def spill(self) -> None:
        if len(self._recent) < MAX_IN_MEMORY:
            return
        if self._disk is None:
            self._disk = sqlite3.connect("")  # a file of its own, gone when it is closed
            self._disk.execute("pragma cache_size = -32768")
            self._disk.execute("pragma journal_mode = off")
            self._disk.execute("create table seen (key integer primary key, value integer)")
        with self._disk:
            rows = ((key, self._recent[key]) for key in sorted(self._recent))
            self._disk.executemany("insert or replace into seen values (?, ?)", rows)
        self._recent = {}
