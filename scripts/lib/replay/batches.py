"""The records of a history in batches, each of which is sent and acknowledged as a whole."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from zlib import crc32

import msgspec

from scripts.lib.replay.reading.records import Block, Row

MAX_BYTES = 4 << 20  # of a batch, about
_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=repr).encode


class Place(NamedTuple):
    """Where a record is: its file, and its line, or its number where the file has no lines."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}, row {self.number}"


class Batch:
    """Some records, one after the other."""

    def __init__(self, blocks: list[tuple[str, Block]]) -> None:
        self.blocks = blocks
        self.rows: list[Row] = [row for _, block in blocks for row in block.rows]

    @cached_property
    def places(self) -> list[Place]:
        """Where each record is."""
        return [Place(name, place) for name, block in self.blocks for place in block.places]

    def place(self, index: int) -> Place:
        """Where one of them is."""
        return self.places[index]

    @cached_property
    def checksums(self) -> list[int] | None:
        """A checksum of each record where all are lines as they stand; else None."""
        try:
            return list(map(crc32, self.rows))  # type: ignore[arg-type]
        except TypeError:
            return None

    def fingerprint(self) -> bytes:
        """What tells these records from others, made of one after the other."""
        if self.checksums is not None:
            return array("I", self.checksums).tobytes()
        return b"".join(
            array("I", [crc32(row)]).tobytes() if isinstance(row, bytes) else _encode(row)
            for row in self.rows
        )


class Records:
    """The records of a history, to be taken in batches."""

    def __init__(self, blocks: Iterator[tuple[str, Block]]) -> None:
        self._blocks = blocks
        self._back: deque[tuple[str, Block]] = deque()

    def take(self, count: int) -> Batch:
        """The next `count` records: fewer where these are large, none at the end."""
        taken = []
        size = 0
        while count and size < MAX_BYTES:
            found = self._back.popleft() if self._back else next(self._blocks, None)
            if found is None:
                break
            name, block = found
            if len(block.rows) > count:
                block, rest = block.split(count)
                self._back.appendleft((name, rest))
            taken.append((name, block))
            count -= len(block.rows)
            size += block.size
        return Batch(taken)

    def back(self, batch: Batch) -> None:
        """Puts the batch that was taken last back."""
        self._back.extendleft(reversed(batch.blocks))
