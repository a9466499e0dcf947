"""Builds on Spark beside those of PostgreSQL, and what Spark's events tell of one."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from scripts.lib.spark.translate import to_spark
from tests.support.warehouse import MARTS, Warehouse

BUILD_SECONDS = 900
_IS_THERE = find_spec("pyspark") and find_spec("dbt.adapters.spark") and shutil.which("java")
needs_spark = pytest.mark.skipif(not _IS_THERE, reason="needs Java and scripts/install --spark")
Row = tuple[object, ...]


def differing_rows(warehouse: Warehouse, marts: Path) -> dict[str, tuple[list[Row], list[Row]]]:
    """By mart the rows that are in PostgreSQL only, and those that are in the folder only."""
    found = {}
    for mart in MARTS:
        relation = duckdb.sql(f"from read_parquet('{marts}/{mart}/*.parquet')")
        columns = [
            f"{name}::text" if kind == "jsonb" else name
            for name, kind in warehouse.query(
                "select column_name, data_type from information_schema.columns"
                " where table_schema = 'marts' and table_name = %s order by ordinal_position",
                mart,
            )
        ]
        names = [name.removesuffix("::text") for name in columns]
        assert sorted(names) == sorted(relation.columns), mart
        query = f"select {', '.join(columns)} from marts.{mart}"  # noqa: S608
        ours = Counter(
            tuple(
                _cell(_json(value) if column.endswith("::text") else value)
                for column, value in zip(columns, row, strict=True)
            )
            for row in warehouse.query(query)
        )
        theirs = Counter(tuple(map(_cell, row)) for row in relation.select(*names).fetchall())
        assert ours, mart
        if ours != theirs:
            found[mart] = (list((ours - theirs).elements()), list((theirs - ours).elements()))
    return found


def _json(text: str) -> object:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _cell(value: object) -> object:  # noqa: PLR0911
    """A value as what it is equal to on both sides: how a number is written does not count."""
    match value:
        case bool() | None:
            return value
        case int() | float() | Decimal():
            number = Decimal(str(value))
            # What is beyond a float64, as 1e400, Spark keeps as infinity.
            return number.normalize() + 0 if abs(number) < Decimal("1.8e308") else "beyond"
        case datetime():
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        case date():  # of a VARIANT, in which PostgreSQL's JSON has its text
            return value.isoformat()
        case dict():
            return tuple(sorted((name, _cell(each)) for name, each in value.items()))
        case list():
            return tuple(map(_cell, value))
    return value


def asked(query: str, folder: Path) -> list[tuple[Any, ...]]:
    """What Spark answers to a query in PostgreSQL's SQL, in a process with which its Java ends."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_ask, (query, folder))


def _ask(query: str, folder: Path) -> list[tuple[Any, ...]]:
    from scripts.lib.spark.session import session  # noqa: PLC0415  only where Spark is installed

    with session("local[1]", folder, {}) as spark:
        return [tuple(row) for row in spark.sql(to_spark(query)).collect()]


def events_of(folder: Path) -> Iterator[dict[str, Any]]:
    """What Spark has written of its events so far, whole lines only."""
    for path in sorted(folder.rglob("events_*")) + sorted(folder.glob("app-*[0-9]")):
        if path.is_file():
            # Bytes, since a letter can be half written.
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    yield json.loads(line)


def executors_at_work(folder: Path) -> set[str]:
    """The executors that have finished tasks."""
    return {
        each["Task Info"]["Executor ID"]
        for each in events_of(folder)
        if each["Event"] == "SparkListenerTaskEnd"
    }


def queries_at_work(folder: Path) -> bool:
    """Whether tasks are running that came after others have ended."""
    kinds = Counter(each["Event"] for each in events_of(folder))
    ended = kinds["SparkListenerTaskEnd"]
    return ended > 20 and kinds["SparkListenerTaskStart"] > ended


def lives(process: psutil.Process) -> bool:
    """Whether a process is there, and more of it than what nobody has asked for its status yet."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def java_below(pid: int, main: str) -> list[psutil.Process]:
    """The processes below one that run a class of Spark, like `Worker`."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            is_java, words = process.name() == "java", process.cmdline()
            if is_java and any(word.endswith(f".{main}") for word in words):
                found.append(process)
    return found
