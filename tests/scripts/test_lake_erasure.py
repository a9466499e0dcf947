"""An erased person is in no lake either, and raw is kept until the lake has it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.lib.lake.layout import COLUMNS
from scripts.lib.privacy.export_user import export as export_user
from scripts.lib.privacy.place import opened_place
from scripts.lib.privacy.retain import retain
from tests.support.collector import rows_of
from tests.support.lake import assert_lake_is_raw, export, rows_in
from tests.support.lake_people import JANE, databases, erased, fill
from tests.support.warehouse import land, page_view


def parts(held: dict[str, Any]) -> dict[str, list[str]]:
    """What was sent, in no order."""
    return {part: sorted(map(repr, rows)) for part, rows in held["sent"].items()}


def test_what_is_erased_from_raw_is_erased_from_the_lake(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """The same rows in the same form; and of months that raw no longer has just as much."""
    rng = random.Random(7)
    lake = tmp_path / "lake"
    for part in range(3):
        fill(connection, rng)
        export(database, lake, compact=part == 1)
    with opened_place(databases(database)) as place:
        held = export_user(place, JANE)
    assert len(held["sent"]["events"]) > len(held["sent"]["users"]) == 3
    connection.execute("create table dropped as table raw.events")
    connection.execute("delete from raw.events where received_at < '2026-06-01'")
    with opened_place(databases(database)) as place:
        assert parts(export_user(place, JANE)) == parts(held)  # what raw has lost is in the lake
    # What was about to be written when an export was killed.
    left = next(lake.rglob("*.parquet"))
    left.with_name(left.name.replace("00000", "99999")).write_bytes(left.read_bytes())

    said = erased(database)

    assert said[f"events of {lake}"] > said["raw.events"] > 0
    assert said[f"events of others that mention them of {lake}"] > 0
    after = {table: sorted(rows_in(lake, table), key=repr) for table in COLUMNS}
    assert "unmistakable" not in repr(after)
    assert not list(lake.rglob("*99999*"))
    # What raw would be, had it still all rows.
    connection.execute("truncate raw.events; insert into raw.events table dropped")
    assert said[f"opt_outs of {lake}"] == said["raw.opt_outs"] == 3
    assert f"events of {lake}" not in erased(database)
    assert_lake_is_raw(database, lake)
    assert {table: sorted(rows_in(lake, table), key=repr) for table in COLUMNS} == after


def test_a_month_is_kept_until_the_lake_has_it(
    database: str,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And dropped then, whether or not anything is built."""
    month = "2024-02-03 12:00+00"
    connection.execute("select raw.ensure_event_partitions(0, %s::timestamptz)", [month])
    export(database, tmp_path / "lake")
    land(connection, [page_view("old")], month)
    retain(databases(database), 400, 0, dry_run=False)
    assert "1 of its rows are not in the lake" in capsys.readouterr().out
    export(database, tmp_path / "lake")
    connection.execute("insert into raw.erasures (identity_hashes) values ('{}')")
    retain(databases(database), 400, 0, dry_run=False)
    assert "an erasure is unfinished" in capsys.readouterr().out
    connection.execute("delete from raw.erasures")
    retain(databases(database), 400, 0, dry_run=False)
    assert rows_of(database, "select count(*) from raw.events") == [(0,)]
    assert [row[4] for row in rows_in(tmp_path / "lake", "events")] == ["old"]
