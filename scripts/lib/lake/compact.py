"""Makes few files of many: those of a day that are small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from scripts.lib.lake.folder import Share
from scripts.lib.lake.layout import File
from scripts.lib.lake.writing import write

SMALL_BYTES = 128 * 2**20  # what readers of Parquet take at a time


def compact(share: Share) -> tuple[int, int]:
    """Replaces small files, a table at a time; how many there were of them, and are now.

    Who has one open from before has to read the manifest anew.
    """
    before = after = 0
    for name, table in share.manifest.tables.items():
        old: list[File] = []
        new: list[File] = []
        for number, group in enumerate(_groups(table.files)):
            batches = (batch for file in group for batch in share.lake.batches(file))
            new += write(share, name, batches, number)
            old += group
        if old:
            share.replace(name, old, new)
        before, after = before + len(old), after + len(new)
    return before, after


def _groups(files: Iterable[File]) -> Iterator[list[File]]:
    """Small files of one day that become one."""
    small = sorted((file for file in files if file.bytes < SMALL_BYTES), key=lambda file: file.path)
    for _, of_day in groupby(small, key=lambda file: file.folder):
        group: list[File] = []
        for file in of_day:
            group.append(file)
            if sum(each.bytes for each in group) >= SMALL_BYTES:
                yield group
                group = []
        if len(group) > 1:
            yield group
