"""What a build is made from: the files of a lake, and the key of the email hash, as views."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError
from scripts.lib.lake.folder import Lake
from scripts.lib.lake.layout import COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Views of a session that all of its threads see are in this schema.
SCHEMA = "global_temp"
# Whether user ids that are emails are hashed, and the two padded forms of the key.
Key = tuple[bool, bytes, bytes]
_KEY = "select hashes_user_ids, inner_pad, outer_pad from secret.email_hash_key"
_PATTERN = "*?[]{}\\"
_TYPES = {"int64": "bigint", "string": "string", "bool": "boolean"}
_ROW_IDS = {name: next(iter(columns)) for name, columns in COLUMNS.items()}


def databases_of(lake: Lake) -> list[str]:
    """The databases that have rows in a lake, by name. Raises UserError where it is none."""
    if names := [manifest.database for manifest in lake.manifests()]:
        return names
    raise UserError(f"{lake.name} is no lake: scripts/export --to makes one")


def require_readable(lake: Path) -> None:
    """Raises UserError where Spark would take the path of a lake for a pattern."""
    if set(str(lake)) & set(_PATTERN):
        raise UserError(f"{lake} has one of {_PATTERN} in it, which Spark takes for a pattern")


def key_of(database_url: str) -> Key:
    """The key by which a database hashes emails, which no lake has."""
    with closing(open_connection(database_url)) as connection:
        keys: list[Key] = connection.execute(_KEY).fetchall()
    if len(keys) != 1:
        raise UserError(
            f"{described(database_url)} has no key of email hashes: run scripts/migrate"
        )
    return keys[0]


def make_views(spark: SparkSession, lake: Lake, databases: Sequence[str], key: Key) -> None:
    """Makes views of the sources of the dbt project, by the names of `view_name`."""
    for table in COLUMNS:
        rows = _rows(spark, lake, table, databases)
        rows.createOrReplaceGlobalTempView(view_name("raw", table))
    columns = "hashes_user_ids boolean, inner_pad binary, outer_pad binary"
    keys = spark.createDataFrame([key], columns)
    keys.createOrReplaceGlobalTempView(view_name("secret", "email_hash_key"))


def view_name(source: str, table: str) -> str:
    """What the view of a source is called, in `SCHEMA`."""
    return f"{source}_{table}"


def _rows(spark: SparkSession, lake: Lake, table: str, databases: Sequence[str]) -> DataFrame:
    columns = COLUMNS[table]
    if files := lake.files(table):
        rows = spark.read.parquet(*files)
    else:
        types = {name: _TYPES.get(str(kind), "timestamp") for name, kind in columns.items()}
        fields = ", ".join(f"{name} {kind}" for name, kind in types.items())
        rows = spark.createDataFrame([], f"database string, {fields}")
    expressions = dict(zip(columns, columns, strict=True))
    if table in ("events", "users"):
        expressions["payload"] = "parse_json(payload)"
    # Databases give out the same ids; those of one are as they are.
    row_id, names = _ROW_IDS[table], ", ".join(f"'{name}'" for name in databases)
    place = f"array_position(array({names}), database) - 1"
    expressions[row_id] = f"{row_id} * {len(databases)} + {place}"
    return rows.selectExpr(*(f"{sql} as {name}" for name, sql in expressions.items()))
