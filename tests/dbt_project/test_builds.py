"""Marts stay exact while a writer writes, and across builds that are killed or partial."""

from __future__ import annotations

import os
import random
import subprocess
import time
from contextlib import closing

import psutil
import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.histories import funnel
from tests.support.warehouse import AS_OF, MARTS, Warehouse, assert_raw_and_marts_agree, page_view
from tests.support.writer import Writer

SLOW = pytest.mark.slow


@pytest.mark.parametrize("builds", [pytest.param(5, marks=SLOW)])
def test_builds_while_a_writer_writes(warehouse: Warehouse, builds: int) -> None:
    seen = []
    with Writer(warehouse.database_url, seed=builds) as writer:
        for _ in range(builds):
            warehouse.run()
            seen += warehouse.query("select count(*) from marts.fct_events")
        wrote_all_through = writer.is_alive()
    assert (wrote_all_through, writer.failure) == (True, None)
    assert seen == sorted(set(seen))  # each build had something to read
    warehouse.build()

    assert warehouse.query(
        'select event_id, event_type from marts.fct_events order by event_id collate "C"'
    ) == [
        (event_id, event_type)
        for event_id, event_type in sorted(
            {event["eventId"]: event["eventType"] for event in writer.landed}.items()
        )
    ]
    assert_raw_and_marts_agree(warehouse)
    # A mark on row ids would have been no mark: transactions do not end in the order of their ids.
    [(interleaved,)] = warehouse.query(
        """
        select count(*) from (
            select loaded_xid, lag(loaded_xid) over (order by event_row_id) as previous_xid
            from raw.events
        ) as rows_in_order
        where loaded_xid < previous_xid
        """
    )
    assert interleaved > 0


# dbt waits once it has made, altered or dropped so many relations, in all of its transactions.
PAUSE = """
    create schema pausing;
    create sequence pausing.changes;
    create function pausing.pause() returns event_trigger
        language plpgsql security definer as $$  -- dbt takes a role of few rights
    begin
        if nextval('pausing.changes') >= {changes} then
            perform pg_advisory_xact_lock_shared({key});
        end if;
    end $$;
    create event trigger pausing on ddl_command_end execute function pausing.pause();
"""
GO_ON = "drop event trigger pausing; drop schema pausing cascade"
PAUSED = "select from pg_locks where locktype = 'advisory' and objid = %s and not granted"
PAUSE_KEY = 4711
MOST_CHANGES = 300  # of a build with next to nothing new: the data tests alone make more


def kill_build(warehouse: Warehouse, changes: int) -> None:
    """Builds by `scripts/dbt`, and kills dbt in the middle of its work, after so many changes."""
    with closing(psycopg.connect(warehouse.database_url, autocommit=True)) as holder:
        holder.execute("select pg_advisory_lock(%s)", [PAUSE_KEY])
        holder.execute(PAUSE.format(changes=changes, key=PAUSE_KEY).encode())
        with subprocess.Popen(
            [
                *(ROOT / "scripts" / "dbt", "build", "--exclude-resource-type", "unit_test"),
                *("--project-dir", str(warehouse.project), "--vars", f'{{"as_of": "{AS_OF}"}}'),
            ],
            env={
                **os.environ,
                "DATABASE_URL": warehouse.database_url,
                "HEADWATER_DATA": str(warehouse.project.parent),
            },
        ) as wrapper:
            while not holder.execute(PAUSED, [PAUSE_KEY]).fetchall():
                assert wrapper.poll() is None, "it was through before"
                time.sleep(0.05)
            [dbt] = psutil.Process(wrapper.pid).children()
            dbt.kill()
            assert wrapper.wait() != 0
        holder.execute("select pg_advisory_unlock_all()")
        holder.execute(GO_ON)


@pytest.mark.parametrize("kills", [pytest.param(6, marks=SLOW)])
def test_killed_and_partial_builds(warehouse: Warehouse, kills: int) -> None:
    rng = random.Random(kills)
    events = generate(users=80, seed=13).events
    shares = [events[start :: kills + 1] for start in range(kills + 1)]
    for share in shares[:kills]:
        warehouse.land(*share)
        kill_build(warehouse, rng.randint(1, MOST_CHANGES))
        mart = rng.choice(MARTS)
        warehouse.try_dbt("run", "--select", mart)  # its parents may not be there yet
    warehouse.land(*shares[kills])
    warehouse.build()
    assert_raw_and_marts_agree(warehouse)


def test_mart_that_ran_ahead_of_its_inputs_catches_up(warehouse: Warehouse) -> None:
    """A build is killed half-way, a mart is built alone, then everything is."""
    everything = ("--select", "+fct_sessions", "+fct_funnel_progress")
    warehouse.land(page_view("a", 1))
    warehouse.run(*everything)

    warehouse.land(page_view("b", 1))
    warehouse.run("--select", "stg_events", "int_identities", "int_users__changed")
    warehouse.run("--select", "int_sessions")
    warehouse.set_seed("funnels", funnel("visit", "page_viewed"))
    warehouse.run("--select", "funnels", "fct_funnel_progress")
    warehouse.run(*everything)

    assert warehouse.query("select sum(event_count) from marts.fct_sessions") == [(2,)]
    assert warehouse.query("select funnel, attempt from marts.fct_funnel_progress order by 2") == [
        ("visit", 1),
        ("visit", 2),
    ]


def test_counts_stay_exact_when_facts_and_marts_are_built_apart(warehouse: Warehouse) -> None:
    """Changes pile up before a mart reads them; a fact is made anew in between."""
    events = generate(users=30, seed=21).events
    facts = (
        "int_users__changed",
        "fct_tasks",
        "fct_funnel_progress",
        "int_user_weeks",
        "int_credit_days",
    )
    newest_day = {
        "eventId": "newest",
        "eventType": "credit_score_updated",
        "userId": 1,
        "occurredAt": "2026-12-01T09:00:00Z",
        "activity": {"ficoScore": 700},
        "received_at": "2026-12-01 09:00:00+00",
    }
    warehouse.land(*events[::3])
    warehouse.run()
    for share in (events[1::3], [*events[2::3], newest_day]):
        warehouse.land(*share)
        warehouse.run("--select", *(f"+{fact}" for fact in facts))
    marts = ("conversion_funnel_daily", "task_completion_daily", "credit_band_daily")
    warehouse.run("--select", *marts, "int_credit_bands_daily")
    warehouse.run("--full-refresh", "--select", "fct_tasks", "int_user_weeks")
    warehouse.run()
    warehouse.keep_marts()

    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)
    assert warehouse.query("select count(*) from staging.changed_rows") == [(0,)]


def test_time_spine_has_whole_years(warehouse: Warehouse) -> None:
    """It is what MetricFlow joins metrics to, and begins with the year of the first event."""
    warehouse.land(page_view("a", occurredAt="2026-03-01T12:00:00Z"))
    warehouse.run("--select", "+int_time_spine")
    assert warehouse.query(
        "select min(day)::text, max(day)::text, count(*) from intermediate.int_time_spine"
    ) == [("2026-01-01", "2026-12-31", 365)]
