"""Reads the rows of raw that a lake does not have yet: each committed row once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from scripts.lib.base.cli import UserError
from scripts.lib.lake.folder import Share
from scripts.lib.lake.layout import COLUMNS, File, schema
from scripts.lib.lake.registry import Connection
from scripts.lib.lake.writing import write

_HORIZON = """
    select
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
_STEP = """
    select loaded_xid::text::bigint from raw.{table}
    where loaded_xid >= '{low}' and loaded_xid < '{high}'
    order by loaded_xid offset {rows} limit 1
"""
_ROWS = """
    select '{database}' as database, {columns} from raw.{table}
    where loaded_xid >= '{low}' and loaded_xid < '{high}'
"""
_UNKNOWN = """
    and not exists (
        select from lake_rows
        where lake_rows.row_id = {table}.{row_id}
            and lake_rows.received_at = {table}.received_at
    )
"""
# The types of Arrow that the lake has.
_AS_WRITTEN = {
    "payload": "payload::text as payload",
    "loaded_xid": "loaded_xid::text::bigint as loaded_xid",
}

Exported = tuple[str, int]  # a table, and how many rows of it


def horizon(connection: Connection) -> tuple[int, int]:
    """Below which transaction all rows are there for good, and the next one to be given out."""
    below, following = connection.execute(_HORIZON).fetchone() or (0, 0)
    return int(below), int(following)


def export_rows(url: str, share: Share, below_xid: int, step_rows: int) -> Iterator[Exported]:
    """Exports what the lake lacks of transactions below `below_xid`, a horizon.

    The manifest is published, with marks that have moved, after each step and at the end.
    """
    with _reading(url) as reading:
        for name, table in share.manifest.tables.items():
            while table.below_xid < below_xid:
                low = table.below_xid
                query = _STEP.format(table=name, low=low, high=below_xid, rows=step_rows)
                step = share.connection.execute(query.encode()).fetchone()
                # One transaction is one step, however large.
                high = max(step[0], low + 1) if step else below_xid
                rows = _rows(reading, share, _ROWS, {"table": name, "low": low, "high": high})
                written = write(share, name, rows)
                table.below_xid = high
                table.files += written
                if written:
                    share.publish(written)
                    yield name, sum(file.rows for file in written)
    share.publish([])


def export_unknown_rows(url: str, share: Share, below_xid: int) -> Iterator[Exported]:
    """The same where the marks mean nothing: by the ids of all rows, beside those in the lake."""
    written: list[File] = []
    with _reading(url) as reading:
        for name, table in share.manifest.tables.items():
            columns = [next(iter(COLUMNS[name])), "received_at"]
            fields = pa.schema([schema(name).field(column) for column in columns])
            fields = fields.set(0, fields.field(0).with_name("row_id"))
            ids = (batch for file in table.files for batch in share.lake.batches(file, columns))
            known = (pa.record_batch(batch.columns, schema=fields) for batch in ids)
            with closing(reading.cursor()) as cursor:
                cursor.execute("drop table if exists lake_rows")
                reader = pa.RecordBatchReader.from_batches(fields, known)
                cursor.adbc_ingest("lake_rows", reader, mode="create", temporary=True)
                cursor.execute("analyze lake_rows")
            names = {"table": name, "low": 0, "high": below_xid, "row_id": columns[0]}
            files = write(share, name, _rows(reading, share, _ROWS + _UNKNOWN, names))
            table.below_xid = below_xid
            table.files += files
            written += files
            yield name, sum(file.rows for file in files)
    share.publish(written)


@contextmanager
def _reading(url: str) -> Iterator[dbapi.Connection]:
    """A connection that gives Arrow. What PostgreSQL refuses raises UserError, in a line."""
    try:
        with closing(dbapi.connect(url, autocommit=True)) as connection:
            yield connection
    except dbapi.Error as error:
        raise UserError(f"PostgreSQL: {str(error).splitlines()[0]}") from error


def _rows(
    reading: dbapi.Connection, share: Share, query: str, names: dict[str, object]
) -> Iterator[pa.RecordBatch]:
    """Rows of raw as Arrow, by a binary COPY."""
    columns = [_AS_WRITTEN.get(column, column) for column in COLUMNS[str(names["table"])]]
    texts = {**names, "database": share.manifest.database, "columns": ", ".join(columns)}
    with closing(reading.cursor()) as cursor:
        cursor.execute(query.format(**texts))
        yield from cursor.fetch_record_batch()
