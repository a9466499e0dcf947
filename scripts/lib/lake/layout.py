"""How the lake is laid out: tables, columns, and the manifests that say which files there are.

docs/lake.md has it for those who read the lake.
"""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec
import pyarrow as pa

from scripts.lib.base.cli import UserError

FORMAT = "headwater lake"
VERSION = 1
MANIFESTS = "_manifests"
DATABASE_NAME = re.compile(r"[A-Za-z0-9_]{1,63}")  # the hyphen ends it in the names of files
_TIME = pa.timestamp("us", "UTC")
# The columns of raw, in their order, without `database`, which each row has first.
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "events": {
        "event_row_id": pa.int64(),
        "received_at": _TIME,
        "source": pa.string(),
        "key_id": pa.int64(),
        "event_id": pa.string(),
        "payload": pa.string(),
        "loaded_xid": pa.int64(),
    },
    "users": {
        "user_row_id": pa.int64(),
        "received_at": _TIME,
        "occurred_at": _TIME,
        "source": pa.string(),
        "key_id": pa.int64(),
        "user_id": pa.string(),
        "payload": pa.string(),
        "loaded_xid": pa.int64(),
    },
    "rejected_events": {
        "rejected_row_id": pa.int64(),
        "received_at": _TIME,
        "source": pa.string(),
        "key_id": pa.int64(),
        "code": pa.string(),
        "message": pa.string(),
        "payload": pa.string(),
        "loaded_xid": pa.int64(),
        "resent_at": _TIME,
        "route": pa.string(),
        "put_away_at": _TIME,
    },
    "opt_outs": {
        "opt_out_row_id": pa.int64(),
        "received_at": _TIME,
        "changed_at": _TIME,
        "id_kind": pa.string(),
        "id": pa.string(),
        "is_out": pa.bool_(),
        "changed_by": pa.string(),
        "loaded_xid": pa.int64(),
    },
}
NULLABLE = {"key_id", "resent_at", "route", "put_away_at"}


def schema(table: str) -> pa.Schema:
    """The columns of a file of a table."""
    columns = {"database": pa.string()} | COLUMNS[table]
    return pa.schema(
        [pa.field(name, kind, nullable=name in NULLABLE) for name, kind in columns.items()]
    )


class File(msgspec.Struct, frozen=True):
    """A file of the lake: its path there, and how long it has to be."""

    path: str
    rows: int
    bytes: int

    @property
    def folder(self) -> str:
        """That of its table and day."""
        return self.path.rpartition("/")[0]


class Table(msgspec.Struct):
    """What one database has of a table: all rows of transactions below `below_xid`."""

    below_xid: int = 0
    files: list[File] = msgspec.field(default_factory=list)


class Manifest(msgspec.Struct):
    """All that one database has in the lake. `origin` is who gave out its transaction ids."""

    database: str
    origin: str
    sequence: int = 0
    tables: dict[str, Table] = msgspec.field(
        default_factory=lambda: {name: Table() for name in COLUMNS}
    )
    format: str = FORMAT
    version: int = VERSION

    @property
    def path(self) -> str:
        """Where it is in the lake."""
        return manifest_path(self.database)

    @property
    def files(self) -> list[File]:
        """Those of all tables."""
        return [file for table in self.tables.values() for file in table.files]

    @property
    def below_xid(self) -> int:
        """The lowest mark of all tables."""
        return min(table.below_xid for table in self.tables.values())

    @property
    def highest_xid(self) -> int:
        """The highest mark of all tables."""
        return max(table.below_xid for table in self.tables.values())

    def encoded(self) -> bytes:
        """As it is written."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    @classmethod
    def decoded(cls, path: str, text: bytes) -> Self:
        """As it was read. Raises UserError for what is not ours, or of another version."""
        try:
            head: Any = msgspec.json.decode(text)
            if isinstance(head, dict) and head.get("format") == FORMAT:
                if head.get("version") != VERSION:
                    raise UserError(
                        f"{path} has version {head.get('version')} of the lake, and this is for "
                        f"version {VERSION}: use the Headwater that wrote it, or another folder"
                    )
                manifest = msgspec.convert(head, cls)
                if path.endswith(manifest.path) and manifest.tables.keys() <= COLUMNS.keys():
                    manifest.tables = {name: Table() for name in COLUMNS} | manifest.tables
                    return manifest
        except msgspec.MsgspecError:
            pass
        raise UserError(
            f"{path} is damaged, or of a later Headwater: restore it, or update this checkout"
        )


def manifest_path(database: str) -> str:
    """Where the manifest of a database is in the lake."""
    return f"{MANIFESTS}/{database}.json"


def file_path(table: str, day: object, manifest: Manifest, number: int) -> str:
    """Where the next file of a day is."""
    name = f"{manifest.database}-{manifest.sequence + 1:08d}-{number:04d}.parquet"
    return f"{table}/received_date={day}/{name}"
