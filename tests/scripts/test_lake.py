"""Raw as files: every committed row is in the lake once, whatever is killed or comes late."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.lake import compact
from scripts.lib.lake.__main__ import TABLES
from scripts.lib.lake.folder import open_lake
from scripts.lib.lake.layout import COLUMNS, NULLABLE
from tests.support.collector import rows_of
from tests.support.lake import assert_lake_is_raw, export, killed_exports, rows_in
from tests.support.postgres import EMPTY

pytestmark = pytest.mark.every_postgres

LAND = {
    "events": "insert into raw.events (received_at, source, key_id, event_id, payload)"
    " values ({at}, 'shop', 7, gen_random_uuid(), jsonb_build_object('a', {n}, 'b', 'é\"\\'))",
    "users": "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
    " values ({at}, {at}, 'shop', {n}, '{{\"ficoScore\": 1e3}}')",
    "opt_outs": "insert into raw.opt_outs (received_at, changed_at, id_kind, id, is_out)"
    " values ({at}, {at}, 'user', {n}, {n} % 3 = 0)",
    "rejected_events": "insert into raw.rejected_events"
    " (received_at, source, code, message, payload, route)"
    " values ({at}, 'shop', 'not_json', 'why', '{{\"n\": {n},\n', '/events')",
}
COLUMNS_OF_RAW = """
    select column_name, is_nullable = 'YES' from information_schema.columns
    where table_schema = 'raw' and table_name = %s order by ordinal_position
"""


@pytest.fixture(scope="module")
def module_database(
    create_database: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    with create_database() as url:
        yield url


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def land(connection: psycopg.Connection[Any], table: str, number: int, day: int = 0) -> None:
    """A row of a table, received on one of a few days: at midnight, or just before."""
    at = f"timestamptz '2026-10-01 00:00+00' + interval '{day} days' - interval '{number % 2} us'"
    connection.execute(LAND[table].format(at=at, n=number).encode())


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(("land", "land", "land")),
            st.integers(0, 2),
            st.sampled_from(sorted(COLUMNS)),
            st.integers(0, 3),
        ),
        st.tuples(st.sampled_from(("commit", "roll back")), st.integers(0, 2)),
        st.tuples(st.just("export"), st.integers(1, 5), st.booleans()),
    ),
    max_size=30,
)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_each_committed_row_comes_once_whatever_the_order_of_commits(
    module_database: str, steps: list[Any]
) -> None:
    """Three transactions at a time, which stay open over exports or not, and compactions."""
    url = module_database
    folder = Path(tempfile.mkdtemp(prefix="hw-lake-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute(EMPTY)
        connections = [stack.enter_context(closing(psycopg.connect(url))) for _ in range(3)]
        for number, (does, *how) in enumerate(steps):
            if does == "land":
                land(connections[how[0]], how[1], number, how[2])
            elif does == "commit":
                connections[how[0]].commit()
            elif does == "roll back":
                connections[how[0]].rollback()
            else:
                export(url, folder / "lake", step=how[0], compact=how[1])
                assert_lake_is_raw(url, folder / "lake")
        for connection in connections:
            connection.commit()
        export(url, folder / "lake", compact=True)
        [(landed,)] = rows_of(
            url,
            "select (select count(*) from raw.events) + (select count(*) from raw.users)"
            " + (select count(*) from raw.rejected_events) + (select count(*) from raw.opt_outs)",
        )
        assert assert_lake_is_raw(url, folder / "lake") == landed


def test_an_export_that_is_killed_goes_on_where_it_was(database: str, lake: Path) -> None:
    """After each kill the lake has whole files only, and all rows below its marks once."""
    rng = random.Random(1)
    export(database, lake)
    with (
        closing(psycopg.connect(database)) as connection,
        killed_exports(database, lake) as exports,
    ):
        killed = 0
        for _ in range(12):
            for number in range(60):
                land(connection, rng.choice(sorted(COLUMNS)), number, rng.randrange(4))
                if rng.random() < 0.1:
                    connection.commit()
            connection.commit()
            killed += exports.ask() == "killed"
            assert_lake_is_raw(database, lake)
    assert killed > 6
    export(database, lake, compact=True)
    assert assert_lake_is_raw(database, lake) == 12 * 60
    named = {Path(path) for table in COLUMNS for path in open_lake(str(lake)).files(table)}
    assert set(lake.rglob("*.parquet")) == named


def test_duckdb_and_pandas_read_what_raw_has(database: str, lake: Path) -> None:
    with closing(psycopg.connect(database)) as connection:
        for number in range(8):
            for table in COLUMNS:
                land(connection, table, number, number // 2)
        connection.commit()
    export(database, lake, name="eu")
    assert assert_lake_is_raw(database, lake) == 32
    assert {*TABLES} == {*COLUMNS}
    for table, columns in COLUMNS.items():
        files = open_lake(str(lake)).files(table)
        query = "from read_parquet(?, hive_partitioning = true)"
        with duckdb.connect() as reader:
            reader.execute("set timezone = 'UTC'")
            named = reader.execute(f"select distinct database {query}", [files]).fetchall()
            by_day = reader.execute(
                f"select received_date = received_at::date, count(*) {query} group by all", [files]
            ).fetchall()
        assert (named, by_day) == ([("eu",)], [(True, 8)])
        frame = pd.concat(pd.read_parquet(file, partitioning=None) for file in files)
        assert list(frame) == ["database", *columns]
        assert len(frame) == 8
        assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"
        text = "payload" if "payload" in columns else "id"
        assert sorted(frame[text]) == sorted(row[0] for row in rows_in(lake, table, [text]))
        found = dict(rows_of(database, COLUMNS_OF_RAW, table))
        assert found == {name: name in NULLABLE for name in columns}


def test_small_files_of_a_day_become_one(
    database: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(psycopg.connect(database)) as connection:
        for number in range(30):
            land(connection, "events", number, number % 3)
            connection.commit()
    export(database, lake, step=5)
    days = {Path(path).parent for path in open_lake(str(lake)).files("events")}
    assert len(open_lake(str(lake)).files("events")) > len(days)
    export(database, lake, compact=True)
    assert len(open_lake(str(lake)).files("events")) == len(days) == len([*lake.rglob("*.parquet")])
    assert assert_lake_is_raw(database, lake) == 30
    # What is large enough stays.
    monkeypatch.setattr(compact, "SMALL_BYTES", 1)
    with closing(psycopg.connect(database)) as connection:
        land(connection, "events", 31)
        connection.commit()
    before = {*open_lake(str(lake)).files("events")}
    export(database, lake, compact=True)
    assert before < {*open_lake(str(lake)).files("events")}
