"""The look before dbt: it says that nothing is new only where a run would change no mart."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from scripts.lib.base.cli import read_settings
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.look import Look, look
from scripts.lib.dbt.target import VIEWS_STAND
from scripts.lib.demo.generator import generate
from tests.support.collector import status
from tests.support.warehouse import MARTS, Warehouse, page_view

NEXT_AGE = "select staging.next_coming_of_age(as_of) from staging.builds order by build_id desc"
STEPS = 12


def look_at(warehouse: Warehouse, *arguments: str, **variables: str) -> Look:
    """What `scripts/dbt ARGUMENTS` looks at, in the project of a warehouse."""
    given = {
        "DATABASE_URL": warehouse.database_url,
        "HEADWATER_DATA": str(warehouse.project.parent),
    }
    with patch.dict(os.environ, given | variables):
        environment = dbt_environment(read_settings(), warehouse.database_url)
    environment["DBT_PROJECT_DIR"] = str(warehouse.project)
    found = look(arguments, environment, warehouse.database_url, "staging")
    assert found
    return found


def keep(warehouse: Warehouse, *arguments: str) -> None:
    """Notes the run that this process has just made as one of `scripts/dbt ARGUMENTS`."""
    look_at(warehouse, *arguments).keep()


def is_new(warehouse: Warehouse, *arguments: str, **variables: str) -> bool:
    """Whether `scripts/dbt ARGUMENTS` would run."""
    return look_at(warehouse, *arguments, **variables).nothing_new() is None


def views_stand(warehouse: Warehouse) -> bool:
    """Whether `scripts/dbt build` would pass over the views, if it ran."""
    found = look_at(warehouse, "build")
    found.nothing_new()
    return found.views_stand


VIEWS = """
    select format('%I.%I', nspname, relname), pg_class.oid, pg_class.xmin::text from pg_class
    inner join pg_namespace on relnamespace = pg_namespace.oid
    where relkind = 'v' and nspname in ('staging', 'intermediate', 'marts', 'reports')
    order by 1
"""


@contextmanager
def replaced(warehouse: Warehouse, file: str, text: str) -> Iterator[None]:
    """A file of the project with one more line, for a while."""
    path = warehouse.project / file
    before = path.read_text()
    path.write_text(before + text)
    yield
    path.write_text(before)


@contextmanager
def executed(warehouse: Warehouse, statement: str, undo: str) -> Iterator[None]:
    """What a statement does, for a while."""
    warehouse.execute(statement)
    yield
    warehouse.execute(undo)


def test_whatever_differs_has_dbt_run(warehouse: Warehouse) -> None:
    """And where it is again as it was, nothing is new again."""
    assert is_new(warehouse, "build")  # nothing is built
    warehouse.land(page_view("one"))
    warehouse.run()
    assert is_new(warehouse, "build")  # nobody said what that run was
    warehouse.execute("update staging.builds set is_whole = true")
    keep(warehouse, "build")

    assert not is_new(warehouse, "build")
    assert not is_new(warehouse, "run")
    assert not is_new(warehouse, "--quiet", "--no-use-colors", "build")  # shown otherwise alone
    assert status(warehouse.database_url).returncode == 0
    for others in (
        ["build", "--select", "fct_events"], ["build", "--full-refresh"],
        ["build", "--vars", "{as_of: 2026-11-02}"],
    ):  # fmt: skip
        assert is_new(warehouse, *others), others
    assert is_new(warehouse, "build", PGOPTIONS="-c timezone=Asia/Tokyo")
    assert is_new(warehouse, "build", DBT_TARGET="dev")

    model = next((warehouse.project / "models").rglob("dim_users.sql")).relative_to(
        warehouse.project
    )
    change = "update staging.watermarks set {} where model_name = 'marts.dim_users'"
    event = """insert into raw.events (received_at, source, event_id, payload)
        values (now(), 'shop', 'x', '{}')"""
    user = """insert into raw.users (received_at, occurred_at, source, user_id, payload)
        values (now(), now(), 'shop', 'x', '{}')"""
    gone = "delete from raw.{0} where source = 'shop'"
    rejected = """insert into raw.rejected_events (received_at, source, code, message, payload)
        values (now(), 'shop', 'x', 'y', 'z')"""
    seed = "update seeds.funnels set window_days = window_days {} 1"
    builds = "update staging.builds set {}"
    newer = "insert into staging.builds (invocation_id, as_of, as_of_xid) values ('x', now(), '3')"
    anything = (
        replaced(warehouse, str(model), "-- a word"),
        replaced(warehouse, "seeds/segments.csv", "path,path,\n"),
        executed(warehouse, seed.format("+"), seed.format("-")),
        executed(warehouse, change.format("build_id = 0"), change.format("build_id = 1")),
        executed(warehouse, newer, "delete from staging.builds where invocation_id = 'x'"),
        executed(warehouse, builds.format("failures = 1"), builds.format("failures = 0")),
    )
    rows_alone = (
        executed(warehouse, event, gone.format("events")),
        executed(warehouse, user, gone.format("users")),
        executed(warehouse, rejected, gone.format("rejected_events")),
        executed(warehouse, builds.format("due_at = now()"), builds.format("due_at = 'infinity'")),
    )
    for number, difference in enumerate(anything + rows_alone):
        assert not is_new(warehouse, "build"), number
        with difference:
            assert is_new(warehouse, "build"), number
            assert views_stand(warehouse) == (difference in rows_alone), number
    assert not is_new(warehouse, "build")

    # A build counts for as long as nothing is new; three hours without a look are missed.
    warehouse.execute(
        "update staging.builds set started_at = started_at - interval '3 hours', checked_at = null"
    )
    assert status(warehouse.database_url).stdout.startswith("missed: ")
    assert not is_new(warehouse, "build")
    assert status(warehouse.database_url).returncode == 0
    warehouse.execute("truncate marts.fct_funnel_progress")
    assert is_new(warehouse, "build")


def test_views_that_stand_are_passed_over(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.land(page_view("one"))
    warehouse.run()
    before = warehouse.query(VIEWS)
    # What an unlikely hand did to a view that is passed over is not seen.
    warehouse.execute("comment on view marts.fct_sessions is 'mine'")
    warehouse.land(page_view("two", user_id=2))
    monkeypatch.setenv(VIEWS_STAND, "yes")
    warehouse.run()
    said = "select obj_description('marts.fct_sessions'::regclass)"
    assert warehouse.query(said) == [("mine",)]
    assert warehouse.query(VIEWS) == before
    assert warehouse.query("select count(*) from marts.fct_sessions") == [(2,)]

    # Those that are gone are made, and those above a table that the run itself makes anew.
    warehouse.execute("drop view marts.tracking_plan_violations cascade")
    warehouse.run("--full-refresh")
    names = [name for name, *_ in before]
    assert [name for name, *_ in warehouse.query(VIEWS)] == names
    assert warehouse.query(said) != [("mine",)]


class Attack:
    """Things that happen to a warehouse between runs, in an order drawn from a seed."""

    def __init__(self, warehouse: Warehouse, seed: int) -> None:
        self.warehouse = warehouse
        self.rng = random.Random(seed)
        self.as_of = datetime(2026, 10, 12, 9, 30, tzinfo=UTC)
        self.stream = generate(users=30, seed=4).events
        self.serial = 0

    def run(self, *arguments: str) -> None:
        """Builds, as of the moment of this history."""
        self.warehouse.run(*arguments, as_of=self.as_of.isoformat())

    def new_rows(self) -> None:
        """A share of the events, at once or long after they happened."""
        share = [self.stream.pop() for _ in range(min(len(self.stream), 40))]
        self.warehouse.land(*share)

    def voided(self) -> None:
        self.serial += 1
        [(event_id,)] = self.warehouse.query("select min(event_id) from raw.events")
        void = page_view(f"void-{self.serial}", eventType="event_voided")
        self.warehouse.land(void | {"activity": {"eventId": event_id}})

    def user(self) -> None:
        self.warehouse.execute(
            "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
            " select now(), '2026-10-01', 'shop', '4000001', jsonb_build_object('ficoScore', %s)",
            self.rng.randint(300, 850),
        )

    def refused(self) -> None:
        self.warehouse.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values ('2026-10-02', 'shop', 'unsupported', 'no', 'x')"
        )

    def fewer_refused(self) -> None:
        self.warehouse.execute("delete from raw.rejected_events")

    def windows(self) -> None:
        rows = self.warehouse.seed("funnels")
        for row in rows:
            row["window_days"] = row["window_days"] and str(self.rng.randint(1, 30))
        self.warehouse.set_seed("funnels", rows)

    def time_zone(self) -> None:
        rows = self.warehouse.seed("project_settings")
        for row in rows:
            if row["setting"] == "time_zone":
                row["value"] = self.rng.choice(["UTC", "Asia/Tokyo", "America/New_York"])
        self.warehouse.set_seed("project_settings", rows)

    def later(self) -> None:
        """Minutes later, or just before or at the moment at which the next thing comes of age."""
        [(due,), *_] = self.warehouse.query(NEXT_AGE)
        self.as_of = self.rng.choice(
            [self.as_of + timedelta(minutes=7), due - timedelta(microseconds=1), due]
        )

    def mark_set_back(self) -> None:
        self.warehouse.execute(
            "update staging.watermarks set build_id = 0 where model_name = %s",
            self.rng.choice(["marts.fct_tasks", "marts.dim_users", "staging.stg_events"]),
        )

    def dropped(self) -> None:
        mart = self.rng.choice(["dim_users", "attribution", "credit_band_daily"])
        self.warehouse.execute(f"drop table marts.{mart} cascade")

    def emptied(self) -> None:
        self.warehouse.execute("truncate marts.retention_weekly")

    def other_code(self) -> None:
        path = next((self.warehouse.project / "models").rglob("fct_sessions.sql"))
        self.serial += 1
        path.write_text(f"{path.read_text()}\n-- {self.serial}")

    def part(self) -> None:
        self.run("--select", self.rng.choice(["+fct_tasks", "stg_events", "fct_sessions+"]))

    def backfilled(self) -> None:
        self.warehouse.dbt("run-operation", "backfill", "--args", "{users: [4000001]}")

    def nothing(self) -> None:
        pass

    def is_new(self) -> bool:
        """Whether a run would be made: by the look, and the moment of this history."""
        [(due, before)] = self.warehouse.query(
            "select staging.next_coming_of_age(as_of), as_of from staging.builds"
            " order by build_id desc limit 1"
        )
        return is_new(self.warehouse, "build") or due is None or not before <= self.as_of < due


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_what_is_skipped_would_have_changed_nothing(warehouse: Warehouse, seed: int) -> None:
    attack = Attack(warehouse, seed)
    attack.new_rows()
    attack.run()
    keep(warehouse, "build")
    quiet: list[Callable[[], None]] = [attack.nothing, attack.later, attack.later]
    loud = [
        attack.new_rows, attack.voided, attack.user, attack.refused, attack.fewer_refused,
        attack.windows, attack.time_zone, attack.mark_set_back, attack.dropped, attack.emptied,
        attack.other_code, attack.part, attack.backfilled,
    ]  # fmt: skip
    skipped = 0
    for step in range(STEPS):
        action = attack.rng.choice(quiet if step % 2 else loud)
        action()
        if attack.is_new():
            with patch.dict(os.environ, {VIEWS_STAND: "yes" if views_stand(warehouse) else ""}):
                attack.run()
        else:
            skipped += 1
            warehouse.keep_marts()
            attack.run()
            assert warehouse.differences() == dict.fromkeys(MARTS, 0), action.__name__
        keep(warehouse, "build")
    assert 0 < skipped < STEPS
