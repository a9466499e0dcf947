"""Old months of raw go once all that read it have them, and nothing else does."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.base.database import Databases
from scripts.lib.privacy.retain import retain
from tests.support.warehouse import Warehouse, event_ids, page_view

pytestmark = pytest.mark.every_postgres

OLD = f"{datetime.now(UTC) - timedelta(days=500):%Y-%m-%d} 12:00:00+00"
RECENT = f"{datetime.now(UTC) - timedelta(days=5):%Y-%m-%d} 12:00:00+00"
DAYS = 400
REFUSALS = """
    select rejection_code, events_rejected, times_rejected
    from marts.rejection_reasons_daily order by day
"""
ABOUT_RAW = (
    "staging_conserves_every_raw_row",
    "every_usable_event_is_in_fct_events",
    "receipts_add_up_to_staging",
)
MARTS = ("--select", "+dim_users", "+rejection_reasons_daily")


def test_months_are_dropped_that_all_have_built(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    url = warehouse.database_url
    databases = Databases(url, url, url, embedded=False)

    def said(*, dry_run: bool = False, rejected_days: int = 0) -> str:
        capsys.readouterr()
        retain(databases, DAYS, rejected_days, dry_run=dry_run)
        return capsys.readouterr().out

    warehouse.execute("select raw.ensure_event_partitions(0, %s::timestamptz)", OLD)
    warehouse.land(page_view("old"), page_view("old-too", "bob"), received_at=OLD)
    warehouse.land(page_view("recent"), received_at=RECENT)
    assert "nothing is built yet" in said()
    warehouse.run(*MARTS)
    warehouse.land(page_view("unread"), received_at=OLD)
    assert "1 of its rows are not built in staging" in said()
    warehouse.run(*MARTS)
    assert "would drop raw.events_" in said(dry_run=True)
    assert "(3 rows, " in said(dry_run=True)
    with closing(psycopg.connect(url, application_name="reader")) as reader:
        reader.execute("select from raw.events limit 1")
        assert "raw.events is in use by backend" in said()
        assert warehouse.query("select count(*) from raw.events") == [(4,)]

    assert "dropped raw.events_" in said()
    assert "Nothing is that old." in said()
    assert warehouse.query("select event_id from raw.events") == [("recent",)]
    # A month that rows can still come to has its partition.
    warehouse.land(page_view("late"), received_at=OLD)
    warehouse.run(*MARTS)
    warehouse.dbt("test", "--select", *ABOUT_RAW)
    warehouse.run("--full-refresh", *MARTS)
    assert event_ids(warehouse) == ["late", "old", "old-too", "recent", "unread"]
    refused = warehouse.try_dbt("run", "--full-refresh", *MARTS, reload_raw=True)
    assert "no longer has all rows" in refused.stdout

    for payload, received_at in (("a", OLD), ("a", OLD), ("b", OLD), ("c", RECENT)):
        warehouse.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values (%s, 'default', 'x', 'x', %s)",
            received_at,
            payload,
        )
    warehouse.run(*MARTS)
    before = warehouse.query(REFUSALS)
    assert ("x", 2, 3) in before
    assert "dropped the text of 3 refused (3 bytes)" in said(rejected_days=90)
    assert "dropped the text of 0 refused" in said(rejected_days=90)
    assert warehouse.query("select count(distinct payload) from raw.rejected_events") == [(3,)]
    assert warehouse.query(
        "select payload, put_away_at is null from raw.rejected_events"
        " where length(payload) = 1 or put_away_at is null"
    ) == [("c", True)]
    warehouse.run(*MARTS)
    assert warehouse.query(REFUSALS) == before


def test_a_build_drops_what_the_settings_say(warehouse: Warehouse) -> None:
    """Nothing where they are not set; each run of a scheduler is such a build."""
    warehouse.execute("select raw.ensure_event_partitions(0, %s::timestamptz)", OLD)
    warehouse.land(page_view("old"), received_at=OLD)
    warehouse.land(page_view("recent"), received_at=RECENT)
    warehouse.execute(
        "insert into raw.rejected_events (received_at, source, code, message, payload)"
        " values (%s, 'default', 'x', 'x', 'refused')",
        OLD,
    )

    def built(**settings: str) -> tuple[str, str, list[str]]:
        folder = warehouse.project.parent
        command: list[str | Path] = [ROOT / "scripts" / "dbt", "build", "--select", "stg_events",
                   "--exclude-resource-type", "test", "unit_test",
                   "--project-dir", warehouse.project]  # fmt: skip
        finished = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": warehouse.database_url,
                 "HEADWATER_DATA": str(folder), **settings},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        [(refused,)] = warehouse.query("select payload from raw.rejected_events")
        left = warehouse.query("select event_id from raw.events order by 1")
        return finished.stderr, refused, [event_id for (event_id,) in left]

    warehouse.run("--select", "+stg_events")
    said, refused, left = built()
    assert ("dropped" in said, refused, left) == (False, "refused", ["old", "recent"])
    # Also where there was nothing new to build.
    said, refused, left = built(RETAIN_EVENTS_DAYS="400", RETAIN_REJECTED_DAYS="90")
    assert "source: dropped raw.events_" in said
    assert "source: dropped the text of 1 refused (7 bytes)" in said
    assert refused.startswith("erased ")
    assert left == ["recent"]
