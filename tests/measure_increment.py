"""Measures what an increment costs as history grows: `python -m tests.measure_increment`.

Prints the table of docs/incremental.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.migrate import migrate
from collector.settings import ROOT
from tests.postgres import own_server
from tests.warehouse import Warehouse

EVENTS_PER_USER = 10
NEW_EVENTS = 10_000
NEW_USERS = 2_000
# Each user goes through ten events, one every one or two days, beginning on one of 70 days; one in
# twenty hears of another score meanwhile. Of the new events 90 % fall on the last of 90 days.
LAND_HISTORY = """
    insert into raw.users (received_at, occurred_at, source, user_id, payload)
    select at, at, 'default', user_id::text, jsonb_build_object('ficoScore', 300 + user_id % 550)
    from generate_series(1, {users}) as users (user_id)
    cross join lateral (select timestamptz '2026-08-03 00:00+00'
        + user_id * 7919 % (70 * 1440) * interval '1 minute') as start (at);

    insert into raw.events (received_at, source, event_id, payload)
    select
        at + interval '1 second', 'default', user_id || '-' || step,
        jsonb_build_object(
            'eventId', user_id || '-' || step,
            'eventType', (array['user_signed_up', 'page_viewed', 'page_viewed',
                'application_submitted', 'application_partly_submitted', 'task_scheduled',
                'task_started', 'task_completed', 'application_preaccepted', 'payment_made'])[step],
            'userId', user_id,
            'occurredAt', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'activity', jsonb_build_object('path', '/pricing', 'taskType', 'review')
        )
    from generate_series(1, {users}) as users (user_id)
    cross join generate_series(1, 10) as steps (step)
    cross join lateral (select timestamptz '2026-08-03 00:00+00'
        + user_id * 7919 % (70 * 1440) * interval '1 minute'
        + step * (1 + user_id % 2) * interval '23 hours') as start (at)
    order by at;
"""
LAND_INCREMENT = """
    insert into raw.events (received_at, source, event_id, payload)
    select
        timestamptz '2026-11-01 00:00+00', 'default', 'new-' || n,
        jsonb_build_object(
            'eventId', 'new-' || n,
            'eventType', (array['page_viewed', 'page_viewed', 'application_accepted',
                'payment_made', 'task_scheduled'])[1 + n / {new_users} % 5],
            'userId', 1 + n % {new_users} * ({users} / {new_users}),
            'occurredAt', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'activity', jsonb_build_object('path', '/', 'taskType', 'review')
        )
    from generate_series(0, {new_events} - 1) as numbers (n)
    cross join lateral (select timestamptz '2026-10-31 00:00+00' + n % 1440 * interval '1 minute'
        - case when n % 10 = 0 then n * 31 % 89 * interval '1 day' else interval '0' end)
        as moment (at);
"""
BLOCKS = """
    select relname, coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0)
        + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)
        + coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0)
    from pg_statio_user_tables
"""
DATABASE_BLOCKS = """
    select '(all, catalogs included)', blks_read + blks_hit from pg_stat_database
    where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of each model and blocks (8 KiB) of each table that one `dbt run` read or found."""

    seconds: dict[str, float]
    blocks: dict[str, int]
    wall_seconds: float


def timed_run(warehouse: Warehouse) -> Run:
    before = blocks(warehouse)
    started = time.monotonic()
    warehouse.dbt("run", "--threads", "1")  # so that models do not wait for one another
    wall_seconds = time.monotonic() - started
    time.sleep(2)  # the statistics of ended sessions are in by then
    results = json.loads((warehouse.project / "target/run_results.json").read_text())["results"]
    return Run(
        {
            result["unique_id"].split(".")[-1]: result["execution_time"]
            for result in results
            if result["unique_id"].startswith("model.")
        },
        {name: count - before.get(name, 0) for name, count in blocks(warehouse).items()},
        wall_seconds,
    )


def blocks(warehouse: Warehouse) -> dict[str, int]:
    return dict(warehouse.query(DATABASE_BLOCKS) + warehouse.query(BLOCKS))


def measure(users: int) -> tuple[Run, Run, Run]:
    """The first build, one with nothing new, and one after the new events."""
    with own_server() as (url, _), TemporaryDirectory() as folder:
        migrate(url)
        project = Path(folder) / "dbt_project"
        ignored = shutil.ignore_patterns("target", "logs")
        warehouse = Warehouse(url, shutil.copytree(ROOT / "dbt_project", project, ignore=ignored))
        warehouse.execute(LAND_HISTORY.format(users=users))
        warehouse.dbt("seed")
        warehouse.execute("vacuum analyze")
        first = timed_run(warehouse)
        warehouse.execute("vacuum analyze")
        idle = timed_run(warehouse)
        warehouse.execute(
            LAND_INCREMENT.format(users=users, new_users=NEW_USERS, new_events=NEW_EVENTS)
        )
        return first, idle, timed_run(warehouse)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs=2, default=[20_000, 200_000], metavar="N")
    sizes = parser.parse_args().users
    runs = [measure(users) for users in sizes]
    say("", *(f"{users * EVENTS_PER_USER:,} events" for users in sizes), "ratio")
    say("---", "--:", "--:", "--:")
    for title, number in (("first build", 0), ("nothing new", 1), ("10,000 new events", 2)):
        pair = [run[number] for run in runs]
        row(f"{title}: sum of model seconds", *(sum(run.seconds.values()) for run in pair))
        row(f"{title}: seconds of dbt run", *(run.wall_seconds for run in pair))
        row(f"{title}: blocks", *(run.blocks["(all, catalogs included)"] for run in pair))
    small, large = (run[2] for run in runs)
    for model in sorted(large.seconds, key=lambda name: -large.seconds[name]):
        row(f"seconds of `{model}`", small.seconds[model], large.seconds[model])
    for table in sorted(large.blocks, key=lambda name: -large.blocks[name]):
        if large.blocks[table] > 1000:
            row(f"blocks of `{table}`", small.blocks.get(table, 0), large.blocks[table])


def row(title: str, small: float, large: float) -> None:
    ratio = f"{large / small:.2f}" if small else ""
    digits = 0 if isinstance(large, int) else 2
    say(title, f"{small:,.{digits}f}", f"{large:,.{digits}f}", ratio)


def say(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
