"""People in the lakes that scripts/export has written a database to: erased, or shown."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.registry import illegal_ids
from scripts.lib.lake.folder import Share, registered_share
from scripts.lib.lake.layout import COLUMNS, File, schema
from scripts.lib.lake.registry import Registered
from scripts.lib.lake.writing import write
from scripts.lib.privacy.people import Connection, statement

# A few rows at a time stand in the place of raw's: what finds and erases these finds and erases the
# lake's, and months that raw no longer has are looked through like all others.
_STAND_INS = (
    *(f"create temporary table {table} (like raw.{table})" for table in COLUMNS),
    "create temporary table erasing_rows (like secret.erasing_rows including indexes)",
)
_RAW_NOTES = """
    insert into pg_temp.erasing_rows select * from secret.erasing_rows where erasure_id = %s
"""
# An event is theirs with all of its copies, wherever they are in the lake.
_NOTE_COPIES = """
    insert into pg_temp.erasing_rows (erasure_id, table_name, row_id, source, event_id, is_theirs)
    select distinct %s::bigint, 'events', copies.event_row_id, copies.source, copies.event_id, true
    from pg_temp.events as copies
    inner join pg_temp.erasing_rows as keys
        on copies.source = keys.source and copies.event_id = keys.event_id
    where keys.table_name = 'events' and keys.is_theirs
    on conflict (erasure_id, table_name, row_id, source) do update set is_theirs = true
"""
_NOTED = "select array_agg(row_id) from pg_temp.erasing_rows where table_name = %s"
_KEYS = """
    select array_agg(distinct source || e'\\n' || event_id) from pg_temp.erasing_rows
    where table_name = 'events' and is_theirs
"""
# What notes the rows of a table. Others are told by their ids, and few: all of them are looked at.
_FINDS = {
    "events": "find_rows",
    "users": "find_other_rows",
    "rejected_events": "find_other_rows",
}
_READ_AS = {"payload": "payload::text", "loaded_xid": "loaded_xid::text::bigint"}


def erase_from_lake(
    connection: Connection, registered: Registered, erasure_id: int, *, preview: bool
) -> Counter[str]:
    """Erases whom `named_people` names from what this database has in a lake; rows by table.

    `preview` takes none. No export may be under way. Raises UserError where the lake cannot be had.
    """
    share = registered_share(connection, registered)
    lake, manifest = share.lake, share.manifest
    with connection.transaction(force_rollback=preview):
        _note(connection, share, erasure_id)
        counts: Counter[str] = Counter()
        for table in COLUMNS:
            erased = _Erased.of(connection, table, erasure_id)
            old = [file for file in manifest.tables[table].files if erased.concerns(share, file)]
            new: list[File] = []
            for _, files in groupby(sorted(old, key=_path), key=lambda file: file.folder):
                rest = erased.rest(batch for file in files for batch in lake.batches(file))
                if preview:
                    deque(rest, maxlen=0)  # counts
                else:
                    new += write(share, table, rest)
            if old and not preview:
                share.replace(table, old, new)
            counts += erased.counts
        for table in (*COLUMNS, "erasing_rows"):
            connection.execute(f"drop table pg_temp.{table}".encode())
    if not preview:
        share.sweep()
    return Counter({f"{table} of {lake.name}": count for table, count in counts.items()})


def held_in_lake(connection: Connection, registered: Registered) -> list[tuple[str, Any]]:
    """What this database has in a lake of whom `named_people` names, each with its part.

    As `export_raw` has it of raw. In a transaction that is undone, with the rows of raw noted. No
    export may be under way. Raises UserError where the lake cannot be had.
    """
    share = registered_share(connection, registered)
    _note(connection, share, 0)
    held: list[tuple[str, Any]] = []
    for table in COLUMNS:
        theirs = _Erased.of(connection, table, 0)
        for file in share.manifest.tables[table].files:
            for batch in share.lake.batches(file):
                noted = batch.filter(theirs.mask(batch))
                if noted.num_rows:
                    _load(connection, table, noted)
                    if table == "events":
                        connection.execute(_NOTE_COPIES, [0])
                    rows = connection.execute(_of_stand_ins("export_raw")).fetchall()
                    held += [(part, row) for part, row, *_ in rows]
    for table in (*COLUMNS, "erasing_rows"):
        connection.execute(f"drop table pg_temp.{table}".encode())
    return held


def _note(connection: Connection, share: Share, erasure_id: int) -> None:
    """Notes the rows of the lake that are about them, beside those of raw."""
    for stand_in in _STAND_INS:
        connection.execute(stand_in.encode())
    connection.execute(_RAW_NOTES, [erasure_id])
    values = {"erasure_id": erasure_id, "illegal_ids": illegal_ids()}
    for table, finds in _FINDS.items():
        for file in share.manifest.tables[table].files:
            for batch in share.lake.batches(file):
                _load(connection, table, batch)
                connection.execute(_of_stand_ins(finds), values)


@dataclass(slots=True)
class _Erased:
    """What is noted of a table, and how many of its rows that was so far."""

    connection: Connection
    table: str
    erasure_id: int
    row_ids: pa.Array
    keys: pa.Array
    counts: Counter[str]

    @classmethod
    def of(cls, connection: Connection, table: str, erasure_id: int) -> _Erased:
        """What is noted of a table by now."""
        [row_ids] = connection.execute(_NOTED, [table]).fetchone() or (None,)
        [keys] = connection.execute(_KEYS).fetchone() or (None,)
        return cls(
            connection, table, erasure_id, pa.array(row_ids or [], pa.int64()),
            pa.array(keys or [], pa.string()), Counter(),
        )  # fmt: skip

    def concerns(self, share: Share, file: File) -> bool:
        """Whether a file has rows that are noted, or copies of such."""
        columns = [name for name in schema(self.table).names if name != "payload"]
        return any(pc.any(self.mask(batch)).as_py() for batch in share.lake.batches(file, columns))

    def rest(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows that are left, those of others without what they said of them."""
        for batch in batches:
            mask = self.mask(batch)
            yield batch.filter(pc.invert(mask))
            noted = batch.filter(mask)
            if noted.num_rows:
                _load(self.connection, self.table, noted)
                if self.table == "events":
                    self.connection.execute(_NOTE_COPIES, [self.erasure_id])
                erase = self.connection.execute(
                    _of_stand_ins("erase_raw"), {"erasure_id": self.erasure_id}
                )
                self.counts += Counter(
                    {
                        name.removeprefix("pg_temp."): count
                        for name, count in erase.fetchall()
                        if name.startswith("pg_temp.") and count
                    }
                )
                yield _left(self.connection, self.table, noted)

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """Which rows are noted."""
        if self.table not in _FINDS:
            return pa.repeat(True, batch.num_rows)
        mask = pc.is_in(batch.column(next(iter(COLUMNS[self.table]))), self.row_ids)
        if self.table == "events":
            named = batch.column("source"), batch.column("event_id")
            mask = pc.or_(mask, pc.is_in(pc.binary_join_element_wise(*named, "\n"), self.keys))
        return mask


def _load(connection: Connection, table: str, batch: pa.RecordBatch) -> None:
    """Has rows of the lake stand in the place of raw's, and no others."""
    connection.execute(f"truncate {', '.join(f'pg_temp.{each}' for each in COLUMNS)}".encode())
    columns = COLUMNS[table]
    query = f"copy pg_temp.{table} ({', '.join(columns)}) from stdin"
    values = [batch.column(name).to_pylist() for name in columns]
    with connection.cursor().copy(query.encode()) as copy:
        for row in zip(*values, strict=True):
            copy.write_row(row)


def _left(connection: Connection, table: str, loaded: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that stand there now, in the form of the lake."""
    columns = ", ".join(_READ_AS.get(name, name) for name in COLUMNS[table])
    query = f"select {columns} from pg_temp.{table} order by 1"  # noqa: S608
    rows = connection.execute(query.encode()).fetchall()
    values: dict[str, list[Any]] = {
        name: [row[place] for row in rows] for place, name in enumerate(COLUMNS[table])
    }
    values["database"] = loaded.column("database").to_pylist()[: len(rows)]
    return pa.RecordBatch.from_pydict(values, schema=schema(table))


def _of_stand_ins(name: str) -> bytes:
    """A statement about raw, of what stands in its place."""
    text = statement(name).replace(b"secret.erasing_rows", b"pg_temp.erasing_rows")
    for table in COLUMNS:
        text = text.replace(f"raw.{table}".encode(), f"pg_temp.{table}".encode())
    return text


def _path(file: File) -> str:
    return file.path
