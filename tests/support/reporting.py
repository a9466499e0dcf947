"""What site and report show, and the same numbers from the facts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from io import StringIO
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console

from scripts.lib.base.settings import Settings
from scripts.lib.report import show
from scripts.lib.site.datasets import Dataset
from scripts.lib.site.warehouse import read
from tests.support.warehouse import Warehouse

Row = dict[str, Any]


PROD = Settings.from_environment({})


# By dataset of the site: the same numbers from the facts, row by row, without a view of reports.
FROM_FACTS = {
    "conversion_daily": """
        select funnel, segment, value as segment_value, cohort_on as day, complete.is_complete,
            count(*) as attempts, count(*) filter (where is_converted) as conversions,
            count(*) filter (where complete.is_complete) as complete_attempts,
            count(*) filter (where complete.is_complete and is_converted)
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
                select coalesce(
                    (cohort_on + 1)::timestamp + max(window_days) * interval '1 day'
                        <= timestamp '2026-11-01',
                    (cohort_on + 1)::timestamptz + (
                        select percentile_cont(0.9) within group (order by seconds_to_convert)
                        from marts.fct_funnel_progress as others
                        where others.funnel = progress.funnel
                    ) * interval '1 second' <= (select max(occurred_at) from marts.fct_events),
                    false
                )
                from seeds.funnels where funnels.funnel = progress.funnel
            ) as complete (is_complete)
        group by 1, 2, 3, 4, 5
    """,
    "funnels_daily": """
        select funnel, cohort_on as day, count(*) as attempts,
            count(*) filter (where is_converted) as conversions
        from marts.fct_funnel_progress group by 1, 2
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
    "conversion_rate": f"""
        select sum(complete_conversions) / sum(complete_attempts)
        from ({FROM_FACTS["conversion_daily"]}) as facts where segment = 'all'
    """,  # noqa: S608
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


def decoded(dataset: Dataset, first: date) -> list[Row]:
    """The rows of a dataset, as app.js reads them."""
    rows = []
    for values in zip(*dataset["values"].values(), strict=True):
        row = dict(zip(dataset["values"], values, strict=True))
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
    shown: dict[str, list[Row]] = {}
    for page, datasets in site.datasets.items():
        own: dict[str, list[Row]] = {}
        for part in (datasets, *site.parts[page].values()):
            for name, dataset in part.items():
                if "day" in dataset["values"]:
                    own.setdefault(name, []).extend(decoded(dataset, site.first))
        shown = own | shown
    return shown


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
