"""Writes rows to a lake: Parquet files by table and day of receipt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, closing
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.lake.folder import Lake, Share
from scripts.lib.lake.layout import File, file_path, schema

_HELD_BYTES = 128 * 2**20  # of rows that wait for a row group of their day
# Of few values each.
_DICTIONARIES = ["database", "source", "code", "message", "route", "id_kind", "changed_by"]


def write(
    share: Share, table: str, batches: Iterable[pa.RecordBatch], number: int = 0
) -> list[File]:
    """Writes rows into a file for each of their days, the `number`-th of this step."""
    waiting: defaultdict[date, list[pa.RecordBatch]] = defaultdict(list)
    held = 0
    writers: dict[date, _Writer] = {}
    with share.lake.asked(table), ExitStack() as stack:

        def flush() -> None:
            for day, parts in waiting.items():
                if day not in writers:
                    path = file_path(table, day, share.manifest, number)
                    writers[day] = stack.enter_context(closing(_Writer(share.lake, table, path)))
                writers[day].write(parts)
            waiting.clear()

        for batch in batches:
            days = pc.cast(batch.column("received_at"), pa.date32())
            different = pc.unique(days).to_pylist()
            for day in different:
                rows = batch if len(different) == 1 else batch.filter(pc.equal(days, day))
                waiting[day].append(rows)
            held += batch.nbytes
            if held > _HELD_BYTES:
                flush()
                held = 0
        flush()
    return [writer.file(share.lake) for writer in writers.values()]


class _Writer:
    """A file that is being written."""

    def __init__(self, lake: Lake, table: str, path: str) -> None:
        if lake.root:
            (lake.root / path).parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows = 0
        self.schema = schema(table)
        self.stream = lake.filesystem.open_output_stream(path)
        self.writer = pq.ParquetWriter(
            self.stream,
            self.schema,
            compression="zstd",
            use_dictionary=[name for name in _DICTIONARIES if name in self.schema.names],
        )

    def write(self, parts: list[pa.RecordBatch]) -> None:
        """Writes a row group."""
        rows = pa.Table.from_batches(parts).cast(self.schema)
        self.rows += rows.num_rows
        self.writer.write_table(rows)

    def close(self) -> None:
        """Ends the file."""
        self.writer.close()
        self.stream.close()

    def file(self, lake: Lake) -> File:
        """What it has become."""
        return File(self.path, self.rows, lake.filesystem.get_file_info(self.path).size)
