"""What site and report show is what the marts hold, and dbt alone says what it means."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import layer_schema
from scripts.lib.demo.generator import generate
from scripts.lib.site.warehouse import read
from tests.support.from_facts import DURATIONS, FROM_FACTS, RATES
from tests.support.reporting import (
    PROD,
    comparable,
    counted,
    durations,
    facts,
    percentile,
    printed,
    shown_by_site,
    tasks_of_many_types,
)
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.every_postgres

DEV = Settings.from_environment({"DBT_TARGET": "dev", "DBT_SCHEMA": "dev_ann"})


@pytest.fixture(scope="module")
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Marts and reports of a generated stream and of tasks of many types."""
    with create_warehouse() as warehouse:
        warehouse.land(*generate(users=100, seed=11).events, *tasks_of_many_types())
        warehouse.land({"eventId": "x", "eventType": "page_viewed", "activity": {}})
        warehouse.run(reports=True)
        yield warehouse


def test_numbers_of_the_site_are_those_of_the_facts(warehouse: Warehouse) -> None:
    shown = shown_by_site(warehouse)
    tested_elsewhere = {
        "alerts", "anomalies", "attention", "funnel_totals", "segment_values", "paths_weekly",
        "credit_profiles", "users", "user_stories", "violations_daily", "goals", "annotations",
        "column_changes", "property_changes",
    }  # fmt: skip
    assert set(shown) - tested_elsewhere == {*FROM_FACTS, *DURATIONS}
    for name, query in FROM_FACTS.items():
        expected = facts(warehouse, query)
        assert len(expected) > 0, name
        columns = set(expected[0])
        assert comparable(shown[name], columns) == comparable(expected, columns), name
    for name, (kind, _) in DURATIONS.items():
        exact = durations(warehouse, name)
        assert all(row["is_exact"] for row in shown[name])
        assert counted(shown[name], kind) == {key: sorted(times) for key, times in exact.items()}
    task_times = counted(shown["task_times_daily"], "task_type")
    assert percentile(task_times["two", date(2026, 10, 2)], 0.5) == 3030


def test_rates_of_the_site_are_those_of_the_facts(warehouse: Warehouse) -> None:
    rates = read(PROD, warehouse.database_url, days=8000).rates
    shown = shown_by_site(warehouse)
    shown["conversion_daily"] = [r for r in shown["conversion_daily"] if r["segment"] == "all"]
    metrics = warehouse.manifest()["metrics"].values()
    # But of users, whose counts on several days cannot be added up.
    ratios = {each["name"] for each in metrics if each["type"] == "ratio"}
    assert ratios - set(rates) == {"user_conversion_rate"}
    filters = [each["filter"]["where_filters"] for each in metrics if each["filter"]]
    complete = "{{ Dimension('attempt__is_complete') }} is not false"
    assert all(each == [{"where_sql_template": complete}] for each in filters)
    for rate, query in RATES.items():
        [(expected,)] = warehouse.query(query)
        part, whole = rates[rate]
        tables = [rows for name, rows in shown.items() if rows and {part, whole} <= set(rows[0])]
        assert tables
        for rows in tables:
            total = sum(row[part] for row in rows) / sum(row[whole] for row in rows)
            assert total == pytest.approx(float(expected), rel=1e-4), rate
    for column in ("step_rate", "overall_rate"):
        part, whole = rates[column]
        assert warehouse.query(
            f"select count(*) from marts.conversion_funnel_daily where {whole} > 0"  # noqa: S608
            f" and {column} is distinct from round({part}::numeric / {whole}, 6)"
        ) == [(0,)]


def test_paths_of_the_site_are_those_of_the_visits(warehouse: Warehouse) -> None:
    views = warehouse.query(
        """
        select session_key, date_trunc('week', started_on)::date, activity ->> 'path'
        from marts.fct_sessions join marts.fct_events using (user_id)
        where is_visit and occurred_at between started_at and ended_at
            and event_type in ('page_viewed', 'screen_viewed') and activity ? 'path'
        order by session_key, occurred_at, fct_events.received_at, event_row_id
        """
    )
    often = Counter(path for _, _, path in views).most_common()
    kept = {path for path, _ in sorted(often, key=lambda each: (-each[1], each[0]))[:7]}
    ways: Counter[tuple[date, int, str, str]] = Counter()
    for (_, week), visit in itertools.groupby(views, key=lambda view: view[:2]):
        pages = [path for path, _ in itertools.groupby(path for _, _, path in visit)]
        names = [path if path in kept else "(other)" for path in pages] + ["(end)"]
        ways.update((week, 1 + n, *names[n : n + 2]) for n in range(min(4, len(pages))))
    shown = {
        (row["day"], row["step"], row["path"], row["next_path"]): row["visits"]
        for row in shown_by_site(warehouse)["paths_weekly"]
    }
    assert shown == dict(ways)
    assert max(step for _, step, _, _ in shown) == 4


def test_pages_name_users_by_keys_alone(warehouse: Warehouse) -> None:
    """And tell what each of those did, and of others who are asked for."""
    counts = warehouse.query(
        """
        select user_id, score_change_90d, last_missed_at, (
            select count(*) from marts.fct_events where fct_events.user_id = dim_users.user_id
        ) + (
            select count(*) from marts.fct_sessions as visits
            where visits.user_id = dim_users.user_id and is_visit
        ) + (
            select count(*) from marts.fct_funnel_progress as attempts
            where attempts.user_id = dim_users.user_id
        ) + (
            select count(*) from marts.fct_tasks where fct_tasks.user_id = dim_users.user_id
        ) + (
            select count(*) from marts.fct_credit_scores as scores
            where scores.user_id = dim_users.user_id
        )
        from marts.dim_users left join marts.credit_profiles using (user_id)
        """
    )
    keys = {each: hashlib.sha256(each.encode()).hexdigest()[:16] for each, *_ in counts}
    told = {keys[each]: min(count, 60) for each, _, _, count in counts}
    shown = shown_by_site(warehouse)
    assert Counter(row["user_key"] for row in shown["user_stories"]) == {
        row["user_key"]: told[row["user_key"]] for row in shown["users"]
    }
    personal = hashlib.sha256(b"eve@example.com").hexdigest()[:16]
    assert personal in {row["assignee"] for row in shown["tasks_overdue"]}
    fallen = sorted((change, each) for each, change, _, _ in counts if change and change < 0)
    missed = sorted((at, each) for each, _, at, _ in counts if at)[-40:]
    listed = {row["user_key"] for row in shown["credit_profiles"]}
    assert {keys[each] for _, each in fallen[:40] + missed} <= listed
    assert len(listed) <= 120
    site = read(PROD, warehouse.database_url, days=8000)
    assert not keys.keys() & set(re.findall(r'"([^"]*)"', json.dumps(site.datasets)))
    known = {row["user_key"] for row in shown["users"]}
    other = next(each for each in keys if keys[each] not in known)
    asked = read(PROD, warehouse.database_url, days=8000, users=[other]).datasets["users"]["users"]
    assert set(asked["levels"]["user_key"]) == {*known, keys[other]}
    with pytest.raises(UserError, match="there is no user nobody in the marts"):
        read(PROD, warehouse.database_url, days=8000, users=["nobody"])


def test_numbers_of_the_report_are_those_of_the_facts(warehouse: Warehouse) -> None:
    lines = [line.split() for line in re.sub(r"[^\x00-\x7f]", " ", printed(warehouse)).splitlines()]
    [(events, users, first, last)] = warehouse.query(
        "select to_char(count(*), 'FM999,999'), count(distinct user_id)::text,"
        " min(occurred_on)::text, max(occurred_on)::text from marts.fct_events"
    )
    assert lines[0] == [events, "events", "of", users, "users,", first, "to", last]
    steps = warehouse.query(
        """
        select step, sum(reached)::text,
            coalesce(round(100 * sum(reached) / nullif(sum(reached_previous), 0), 1) || '%', ''),
            round(100 * sum(reached) / sum(entered), 1) || '%'
        from marts.conversion_funnel_daily where segment = 'all' group by funnel, step_order, step
        """
    )
    tasks = warehouse.query(
        """
        select task_type, count(*)::text,
            round(100.0 * count(completed_at) / count(*), 1) || '%', count(abandoned_at)::text,
            count(*) filter (where status in ('scheduled', 'started'))::text,
            round(percentile_cont(0.5) within group (order by wait)::numeric, 1)::text,
            round(percentile_cont(0.5) within group (order by cycle)::numeric, 1)::text
        from marts.fct_tasks,
            lateral (select wait_seconds / 3600, cycle_seconds / 3600) as hours (wait, cycle)
        group by task_type
        """
    )
    bands = warehouse.query(
        """
        select band, (array_agg(users order by day desc))[1]::text, sum(conversions)::text,
            sum(payments_made + payments_missed)::text, coalesce(round(100 * sum(payments_made)
                / nullif(sum(payments_made + payments_missed), 0), 1) || '%', '')
        from marts.credit_band_daily group by 1
        """
    )
    for rows in (steps, tasks, bands):
        assert rows
        for row in rows:
            assert " ".join(cell for cell in row if cell).split() in lines
    # The bars of bands are those of the number before them.
    most = max(bands, key=lambda row: int(row[1]))
    assert re.search(rf"{most[0]} +{most[1]} +█+ +{most[2]} ", printed(warehouse))
    for outcome, count in warehouse.query(
        "select outcome, count(*) from marts.fct_funnel_progress group by funnel, 1"
    ):
        assert re.search(rf"[ ,]{count} {outcome}", printed(warehouse))


def test_many_times_are_rounded_by_less_than_one_percent(warehouse: Warehouse) -> None:
    """Of any times, by the macro; and of any days, by the views with a smaller limit."""
    worst = warehouse.dbt(
        "show",
        "--inline",
        """
        select (1000000 * max(
            greatest(abs(shown[1] / known[1] - 1), abs(shown[2] / known[2] - 1))
        ))::integer as millionths
        from (
            select
                percentile_cont(array[0.5, 0.9]) within group (order by seconds) as known,
                percentile_cont(array[0.5, 0.9]) within group (order by shown) as shown
            from (
                select sample, seconds, {{ within_one_percent('seconds') }} as shown from (
                    select n % 30000 as sample, (10 ^ (random() * 9 - 3))::numeric(9, 3) as seconds
                    from generate_series(1, 100000) as numbers (n)
                    union all
                    select -n, 2 ^ (n / 36.0) from generate_series(0, 1000) as numbers (n)
                ) as times
                where seconds > 0
            ) as rounded
            group by sample
        ) as percentiles
        """,
    )
    found = re.search(r"\| +([\d,]+) \|", worst)
    assert found
    assert 9_000 < int(found[1].replace(",", "")) < 10_000

    macro = warehouse.project / "macros/reports/shown_time.sql"
    macro.write_text(macro.read_text().replace("<= 5000", "<= 3"))
    try:
        warehouse.run("--select", *[f"rpt_{name}" for name in DURATIONS], reports=True)
        shown = shown_by_site(warehouse)
    finally:
        macro.write_text(macro.read_text().replace("<= 3", "<= 5000"))
    for name, (kind, _) in DURATIONS.items():
        assert not all(row["is_exact"] for row in shown[name])
        exact, rounded = durations(warehouse, name), counted(shown[name], kind)
        assert set(exact) == set(rounded)
        days = sorted({day for _, day in exact})
        for first in days[::7]:
            chosen = [key for key in exact if first <= key[1] <= first + timedelta(days=20)]
            for share in (0.5, 0.9):
                true = percentile([time for key in chosen for time in exact[key]], share)
                about = percentile([time for key in chosen for time in rounded[key]], share)
                assert about == pytest.approx(true, rel=0.01)


@pytest.mark.slow
def test_view_that_a_build_makes_anew_is_waited_for(warehouse: Warehouse, tmp_path: Path) -> None:
    """A full refresh drops what reads the old table; pages of before stay until it is there."""
    warehouse.run("--select", "path:models/reports", reports=True)  # others built them otherwise
    before = shown_by_site(warehouse)
    warehouse.run("--full-refresh", "--select", "task_completion_daily", "fct_tasks")
    with pytest.raises(UserError, match="a view of the schema reports is not there: a build is"):
        read(PROD, warehouse.database_url, days=8000)
    warehouse.run("--select", "fct_tasks+", reports=True)
    assert shown_by_site(warehouse) == before


def test_reader_waits_for_a_build_and_gives_way_to_it(warehouse: Warehouse) -> None:
    with closing(psycopg.connect(warehouse.database_url)) as build, ThreadPoolExecutor() as pool:
        build.execute("lock table marts.task_completion_daily in access exclusive mode")
        reader = pool.submit(printed, warehouse)
        build.execute("select pg_sleep(0.5)")
        build.execute("lock table reports.rpt_task_totals in access exclusive mode")
        build.execute("alter view reports.rpt_tasks_daily set schema public")
        build.rollback()
        assert "Tasks" in reader.result()


def script(name: str, warehouse: Warehouse, *arguments: str) -> str:
    """What a script prints about the target dev."""
    finished = subprocess.run(
        [ROOT / "scripts" / name, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": warehouse.database_url,
            "HEADWATER_DATA": str(warehouse.project.parent),
            "DBT_TARGET": "dev",
            "DBT_SCHEMA": "dev_ann",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout + finished.stderr


@pytest.mark.slow
def test_site_report_and_status_are_about_dbts_target(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the schema dev_ann_reports has no views yet; run scripts/dbt" in script(
        "report", warehouse
    )
    assert "Nothing is built yet" in script(
        "site", warehouse, "--output", str(tmp_path), "--no-docs"
    )
    monkeypatch.setenv("DBT_TARGET", "dev")
    monkeypatch.setenv("DBT_SCHEMA", "dev_ann")
    warehouse.run(reports=True)
    for node in warehouse.manifest()["nodes"].values():
        if node["resource_type"] in ("model", "seed"):
            layer = node["fqn"][-2] if node["resource_type"] == "model" else "seeds"
            assert node["schema"] == layer_schema(DEV, layer)
    warehouse.execute("delete from dev_ann_marts.fct_tasks where task_type <> 'two'")
    warehouse.execute(
        "insert into dev_ann_staging.builds"
        " (invocation_id, as_of, as_of_xid, finished_at, failures, is_whole)"
        " values ('failed', now(), '1', now(), 3, true)"
    )

    assert re.search(r"two +2 +100.0%", script("report", warehouse))
    assert "Verify identity" not in script("report", warehouse)
    assert "Verify identity" in printed(warehouse)
    script("site", warehouse, "--output", str(tmp_path), "--no-docs")
    assert "<code>dev_ann_marts</code>" in (tmp_path / "index.html").read_text()
    dev, prod = (shown_by_site(warehouse, each)["task_times_daily"] for each in (DEV, PROD))
    assert {row["task_type"] for row in dev} == {"two"}
    assert len({row["task_type"] for row in prod}) > 1
    assert "failed: dbt build" in script("status", warehouse)


def test_definitions_are_in_the_seeds_alone(warehouse: Warehouse) -> None:
    """Renamed, or decided otherwise, they are so in site and report after the next build."""
    names = {
        "good": "solid",
        "poor": "thin",
        "loan_application": "loan",
        "approved": "granted after second look",
    }
    good = {"thin", "exceptional"}
    for seed in ("score_bands", "funnels"):
        rows = warehouse.seed(seed)
        renamed = [{key: names.get(cell, cell) for key, cell in row.items()} for row in rows]
        if seed == "score_bands":
            renamed = [row | {"is_good": str(row["band"] in good).lower()} for row in renamed]
        warehouse.set_seed(seed, renamed)
    warehouse.run(reports=True)
    shown, screen = shown_by_site(warehouse), printed(warehouse)
    rates = read(PROD, warehouse.database_url, days=8000).rates
    [(share,)] = warehouse.query(
        "select avg((band = any(%s))::integer) from marts.fct_credit_scores where is_current",
        list(good),
    )

    bands = shown["credit_bands_daily"]
    assert {row["band"] for row in bands if row["is_good"]} == good
    last = [row for row in bands if row["day"] == max(row["day"] for row in bands)]
    part, whole = rates["good_band_rate"]
    assert 0 < share < 1
    assert sum(row[part] for row in last) / sum(row[whole] for row in last) == pytest.approx(
        float(share)
    )
    assert "solid" in {row["band"] for row in bands}
    assert "loan" in {row["funnel"] for row in shown["conversion_daily"]}
    assert "Funnel loan " in screen
    assert " granted after second look " in screen
    assert re.search(r"^ ?thin +\d", screen, re.MULTILINE)
    assert "poor" not in screen
