"""What site and report show is what the marts hold, and dbt alone says what it means."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from rich.console import Console

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import layer_schema
from scripts.lib.demo.generator import generate
from scripts.lib.report import show
from scripts.lib.site.warehouse import Dataset, read
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.every_postgres

Row = dict[str, Any]
PROD = Settings.from_environment({})
DEV = Settings.from_environment({"DBT_TARGET": "dev", "DBT_SCHEMA": "dev_ann"})
# By dataset of the site: the same numbers from the facts, row by row, without a view of reports.
FROM_FACTS = {
    "conversion_daily": """
        select funnel, segment, value as segment_value, cohort_on as day, complete.is_complete,
            count(*) as attempts, count(*) filter (where is_converted) as conversions,
            count(*) filter (where complete.is_complete is not false) as complete_attempts,
            count(*) filter (where complete.is_complete is not false and is_converted)
                as complete_conversions,
            (
                select array_agg(reached order by step_order) from (
                    select step_order, (
                        select count(*) from marts.fct_funnel_progress as others
                        where others.funnel = progress.funnel
                            and others.cohort_on = progress.cohort_on
                            and others.segments ->> segment = value
                            and others.furthest_step_order >= step_order
                    ) as reached
                    from seeds.funnels
                    where funnels.funnel = progress.funnel and step_order is not null
                ) as steps
            ) as reached
        from marts.fct_funnel_progress as progress,
            jsonb_each_text(segments) as cuts (segment, value),
            lateral (
                select (cohort_on + 1)::timestamp + max(window_days) * interval '1 day'
                    <= timestamp '2026-11-01'
                from seeds.funnels where funnels.funnel = progress.funnel
            ) as complete (is_complete)
        group by 1, 2, 3, 4, 5
    """,
    "attribution_daily": """
        select funnel, traffic_source, rule, converted_on as day, sum(credit) as conversions
        from marts.attribution, lateral (values
            ('First touch', first_touch_credit),
            ('Last touch', last_touch_credit),
            ('Last non-direct', last_non_direct_credit),
            ('Linear', linear_credit),
            ('Position-based', position_based_credit),
            ('Time decay', time_decay_credit)
        ) as rules (rule, credit)
        group by 1, 2, 3, 4
    """,
    "retention_weekly": """
        select cohort_week as day, weeks_since, cohort_users, users_active, retention_rate
        from marts.retention_weekly where active_week + 6 < '2026-11-01'
    """,
    "tasks_daily": """
        select label as task_type, day, sum(tasks_opened) as tasks_opened,
            sum(opened_then_completed) as tasks_completed,
            sum(opened_then_reworked) as tasks_reworked,
            sum(opened_then_reassigned) as tasks_reassigned,
            sum(daily.tasks_completed) as completions, sum(tasks_abandoned) as abandonments,
            sum(backlog) as backlog
        from marts.task_completion_daily as daily
            join (select distinct task_type, label from labelled) as labels using (task_type)
        group by 1, 2
    """,
    "credit_bands_daily": """
        select band_order, band, is_good, day, users,
            case when is_good then users else 0 end as users_in_good_bands, conversions,
            payments_made, payments_made + payments_missed as payments_due
        from marts.credit_band_daily join seeds.score_bands using (band, band_order)
        where band <> 'unknown'
    """,
    "credit_moves_daily": """
        select previous_band, band, valid_from::date as day, score > previous_score as is_up,
            count(*) as moves
        from marts.fct_credit_scores where previous_band <> band group by 1, 2, 3, 4
    """,
    "rejections_daily": """
        select rejection_code, day, sum(events_rejected) as events_rejected
        from marts.rejection_reasons_daily group by 1, 2 having sum(events_rejected) > 0
    """,
    "events_daily": """
        select event_subject, occurred_on as day, count(*) as events
        from marts.fct_events group by source, 1, 2
    """,
}
LABELLED = """
    with counts as (
        select task_type, row_number() over (order by count(*) desc, task_type) as place
        from marts.fct_tasks group by 1
    ),
    labelled as (
        select *, case when place <= 11 then task_type else '(other)' end as label
        from marts.fct_tasks join counts using (task_type)
    ),
    labelled_times as (
        select label, opened_on, cycle_seconds from labelled where cycle_seconds is not null
    )
"""
DURATIONS = {
    "conversion_times_daily": (
        "funnel",
        "select funnel, cohort_on, seconds_to_convert from marts.fct_funnel_progress"
        " where is_converted",
    ),
    "task_times_daily": (
        "task_type",
        LABELLED + "table labelled_times",
    ),
}
# The rates that have a column in a mart, or an average over a fact.
RATES = {
    "conversion_rate": "select sum(reached) / sum(entered) from marts.conversion_funnel_daily"
    " where segment = 'all' and is_complete is not false and (funnel, step_order) in"
    " (select funnel, max(step_order) from seeds.funnels group by 1)",
    "conversion_rate_so_far": "select avg(is_converted::integer) from marts.fct_funnel_progress",
    "completion_rate": "select avg((status = 'completed')::integer) from marts.fct_tasks",
    "rework_rate": "select avg((times_started > 1 or times_completed > 1)::integer)"
    " from marts.fct_tasks",
    "reassignment_rate": "select avg((assignee_count > 1)::integer) from marts.fct_tasks",
    "on_time_rate": "select sum(payments_made) / sum(payments_made + payments_missed)"
    " from marts.credit_band_daily where band <> 'unknown'",
}


def tasks_of_many_types() -> Iterator[Row]:
    """Tasks of twenty types, more than a page names; of one type a short and a long one."""
    for number in range(21):
        kind = "two" if number < 2 else f"kind {number}"
        activity = {"taskType": kind, "taskId": f"t{number}"}
        seconds = 6000 if number == 1 else 60
        for verb, second in (("scheduled", 0), ("started", 0), ("completed", seconds)):
            yield {
                "eventType": f"task_{verb}",
                "eventId": f"{verb} {number}",
                "userId": 1,
                "occurredAt": f"2026-10-02T{second // 3600:02}:{second // 60 % 60:02}:00Z",
                "activity": activity,
            }


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


def decoded(dataset: Dataset, first: date) -> list[Row]:
    """The rows of a dataset, as app.js reads them."""
    rows = []
    for values in dataset["rows"]:
        row = dict(zip(dataset["columns"], values, strict=True))
        for column, known in dataset["levels"].items():
            places = row[column]
            row[column] = [known[p] for p in places] if isinstance(places, list) else known[places]
        row["day"] = first + timedelta(days=row["day"])
        rows.append(row)
    return rows


def shown_by_site(warehouse: Warehouse, settings: Settings = PROD) -> dict[str, list[Row]]:
    """The rows by dataset of all pages; of a view that two pages show, those of the first."""
    site = read(settings, warehouse.database_url, days=8000)
    assert site.first
    datasets: dict[str, list[Row]] = {}
    for page in site.datasets.values():
        for name, dataset in page.items():
            if "day" in dataset["columns"]:
                datasets.setdefault(name, decoded(dataset, site.first))
    return datasets


def printed(warehouse: Warehouse, settings: Settings = PROD) -> str:
    """The screen of `scripts/report`."""
    console = Console(file=StringIO(), width=90)
    show(settings, warehouse.database_url, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def facts(warehouse: Warehouse, query: str) -> list[Row]:
    """The rows of a query as the site would have them."""
    with closing(psycopg.connect(warehouse.database_url, row_factory=dict_row)) as connection:
        connection.execute("set timezone to 'UTC'")
        return connection.execute((LABELLED + query).encode()).fetchall()


def comparable(rows: list[Row], columns: set[str]) -> list[str]:
    """Rows as text, numbers with the six decimals that marts have."""

    def text(value: object) -> str:
        if value is None or isinstance(value, str | bool | date | list):
            return str(value)
        return f"{float(str(value)):.6f}"

    return sorted(str({key: text(row[key]) for key in sorted(columns)}) for row in rows)


def percentile(times: list[float], share: float) -> float:
    """PostgreSQL's percentile_cont."""
    times = sorted(times)
    place = share * (len(times) - 1)
    low = times[int(place)]
    return low + (place - int(place)) * (times[min(int(place) + 1, len(times) - 1)] - low)


def durations(warehouse: Warehouse, name: str) -> dict[tuple[str, date], list[float]]:
    """The times by kind and day, from the facts."""
    found: dict[tuple[str, date], list[float]] = {}
    for kind, day, seconds in warehouse.query(DURATIONS[name][1]):
        found.setdefault((kind, day), []).append(float(seconds))
    return found


def counted(rows: list[Row], kind: str) -> dict[tuple[str, date], list[float]]:
    """The times by kind and day, from a dataset that counts them."""
    return {
        (row[kind], row["day"]): [
            time
            for time, count in zip(row["seconds"], row["counts"], strict=True)
            for _ in range(count)
        ]
        for row in rows
    }


def test_numbers_of_the_site_are_those_of_the_facts(warehouse: Warehouse) -> None:
    shown = shown_by_site(warehouse)
    assert set(shown) == {*FROM_FACTS, *DURATIONS}
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
        [rows] = [rows for rows in shown.values() if {part, whole} <= set(rows[0])]
        total = sum(row[part] for row in rows) / sum(row[whole] for row in rows)
        assert total == pytest.approx(float(expected)), rate
    for column in ("step_rate", "overall_rate"):
        part, whole = rates[column]
        assert warehouse.query(
            f"select count(*) from marts.conversion_funnel_daily where {whole} > 0"  # noqa: S608
            f" and {column} is distinct from round({part}::numeric / {whole}, 6)"
        ) == [(0,)]


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


def test_neither_page_nor_report_knows_a_definition() -> None:
    """No name of a seed stands in their code: what they do, they do to all names alike."""
    code = "".join(
        path.read_text()
        for path in [ROOT / "scripts/lib/report.py", *(ROOT / "scripts/lib/site").rglob("*")]
        if path.suffix in (".js", ".py", ".html")
    )
    project = Warehouse("", ROOT / "dbt_project")
    names = {row["band"] for row in project.seed("score_bands")} - {"good"}  # the tile's own id
    names |= {row["funnel"] for row in project.seed("funnels")}
    names |= {row["step"] for row in project.seed("funnels")} - {"converted"}
    names |= {row["event_type"] for row in project.seed("event_types")} - {"conversion"}
    names |= {row["segment"] for row in project.seed("segments")}
    assert [name for name in sorted(names) if re.search(rf"['\"`]{name}['\"`]", code)] == []
    assert not re.search(
        r"percentile_cont\(|\bsum\(|\bcount\(", (ROOT / "scripts/lib/report.py").read_text()
    )


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
    names = {"good": "solid", "poor": "thin", "loan_application": "loan", "approved": "granted"}
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
    assert " granted, " in screen
    assert re.search(r"^ ?thin +\d", screen, re.MULTILINE)
    assert "poor" not in screen
