"""Limits of metrics, and events that stay away: somebody is told, once, and once it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.base.cli import UserError
from scripts.lib.base.settings import Settings
from scripts.lib.status.alerts import tell_alerts
from scripts.lib.status.freshness import stale_sources
from tests.support.warehouse import Warehouse
from tests.support.webhook import webhook

pytestmark = pytest.mark.every_postgres
FIRST = date(2026, 1, 1)
KINDS = ("call", "visit")
NOBODY = "http://127.0.0.1:9/"
History = list[dict[str, tuple[int, int, int]]]  # by day and type: opened, of these completed, open


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of seed `alerts` about tasks."""

    metric: str
    subject: str | None
    days: int
    below: int | None
    above: int | None
    falls_percent: int | None
    rises_percent: int | None

    def value(self, history: History) -> Decimal | None:
        """The metric of the last days of a history."""
        opened, completed, backlog = (
            [
                sum(day[kind][place] for kind in KINDS if self.subject in (None, kind))
                for day in history
            ]
            for place in range(3)
        )
        if self.metric == "backlog":
            return Decimal(sum(backlog[-1:]))
        if self.metric == "tasks_opened":
            return Decimal(sum(opened[-self.days :]))
        if not (whole := sum(opened[-self.days :])):
            return None
        share = Decimal(sum(completed[-self.days :])) / whole
        return 100 * share.quantize(Decimal("1e-6"), ROUND_HALF_UP)

    def is_passed(self, history: History) -> bool:
        """Whether one of the limits is, after these days."""
        now, before = self.value(history), self.value(history[:-7])
        if now is None:
            return False
        changes = [
            sign * (now - before * (1 + sign * Decimal(percent) / 100)) >= 0
            for sign, percent in ((-1, self.falls_percent), (1, self.rises_percent))
            if before and percent
        ]
        is_below = self.below is not None and now < self.below
        return is_below or (self.above is not None and now > self.above) or any(changes)


CHANGES = st.none() | st.integers(1, 100)
ALERTS = st.builds(
    Alert,
    metric=st.sampled_from(["tasks_opened", "completion_rate", "backlog"]),
    subject=st.sampled_from([None, *KINDS]),
    days=st.integers(1, 9),
    below=st.none() | st.integers(1, 60),
    above=st.none() | st.integers(0, 60),
    falls_percent=CHANGES,
    rises_percent=CHANGES,
)
COUNTS = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).map(
    lambda day: (day[0], min(day[:2]), day[2])
)
HISTORIES = st.lists(st.fixed_dictionaries(dict.fromkeys(KINDS, COUNTS)), min_size=1, max_size=24)


@pytest.fixture(scope="module")
def built(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """What alerts look at, and no event."""
    with create_warehouse() as warehouse:
        warehouse.run("--select", "+rpt_alerts", reports=True)
        yield warehouse


def keep(connection: psycopg.Connection, history: History, alerts: Mapping[str, Alert]) -> None:
    """Makes these the numbers and the alerts that there are, of which none was told."""
    connection.execute("truncate marts.task_completion_daily, seeds.alerts, staging.alerts_told")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into marts.task_completion_daily (task_day_key, task_type, day, tasks_opened,"
            " opened_then_completed, backlog, tasks_reopened, tasks_completed, tasks_abandoned,"
            " opened_still_open, opened_then_reworked, opened_then_reassigned, is_complete)"
            " values (%s, %s, %s, %s, %s, %s, 0, 0, 0, 0, 0, 0, true)",
            [
                (f"{kind} {number}", kind, FIRST + timedelta(number), *counts)
                for number, day in enumerate(history)
                for kind, counts in day.items()
            ],
        )
        cursor.executemany(
            "insert into seeds.alerts (alert, metric, subject, days, below, above, falls_percent,"
            " rises_percent, description) values (%s, %s, %s, %s, %s, %s, %s, %s, 'x')",
            [(name, *astuple(alert)) for name, alert in alerts.items()],
        )


def test_alert_is_told_when_it_starts_and_when_it_is_over(warehouse: Warehouse) -> None:
    def land(day: str, count: int, received_at: str = "2026-10-31 23:00:00+00") -> None:
        warehouse.land(
            *(
                {"eventType": "page_viewed", "eventId": f"{day} {number}", "userId": 1}
                | {"occurredAt": f"{day}T12:00:00Z", "activity": {}}
                for number in range(count)
            ),
            received_at=received_at,
        )
        warehouse.run("--select", "+rpt_alerts", reports=True)

    def told() -> list[tuple[str, str]]:
        with webhook() as (url, posted):
            settings = Settings.from_environment({"ALERT_WEBHOOK_URL": url})
            tell_alerts(settings, warehouse.database_url)
        return [(post["status"], post["text"].partition(" (")[0]) for post in posted]

    def said() -> str:
        return "".join(stale_sources(warehouse.database_url, "reports"))

    now = f"{datetime.now(UTC)}"
    stale = "stale_raw.events: {}Nothing came for longer than error_after of the source"
    stale += ", and than is usual"
    halved = "events_halved: {}Half as many events on the last whole day as a week before"
    land("2026-10-24", 10)
    land("2026-10-31", 4)
    assert told() == [("alert", halved.format("")), ("alert", stale.format(""))]
    assert told() == []
    assert said() == (
        "error: nothing came to raw.events since 2026-10-31 23:00 UTC, for longer than 48 hours"
    )
    # No build is needed to see that something came, and that it is long ago.
    warehouse.land({"eventType": "page_viewed", "eventId": "new", "activity": {}}, received_at=now)
    assert said() == ""
    assert told() == [("over", stale.format("over: "))]
    warehouse.execute("update raw.events set received_at = received_at - interval '13 hours'")
    assert said().startswith("warn: nothing came to raw.events since ")
    assert said().endswith(" for longer than 12 hours")
    assert told() == []
    land("2026-10-31", 9, received_at=now)  # four of them known
    assert said() == ""
    assert told() == [("over", halved.format("over: "))]
    assert told() == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_each_alert_is_told_when_it_starts_and_when_it_is_over(
    built: Warehouse, data: st.DataObject
) -> None:
    """Whatever the numbers and limits are, builds late, twice or never, and the web hook away."""
    history = data.draw(HISTORIES)
    alerts = {
        f"alert {n}": alert for n, alert in enumerate(data.draw(st.lists(ALERTS, max_size=4)))
    }
    builds = sorted(data.draw(st.lists(st.integers(1, len(history)), max_size=12)))
    told: set[str] = set()
    with closing(psycopg.connect(built.database_url, autocommit=True)) as connection:
        keep(connection, history, alerts)
        with webhook() as (url, posted):
            for days in builds:
                began_at = FIRST + timedelta(days)
                connection.execute("update staging.builds set as_of = %s", [began_at])
                is_away = data.draw(st.booleans())
                where = Settings.from_environment({"ALERT_WEBHOOK_URL": NOBODY if is_away else url})
                with suppress(UserError) if is_away else nullcontext():
                    tell_alerts(where, built.database_url)
                said = sorted((post["text"].partition(":")[0], post["status"]) for post in posted)
                posted.clear()
                if is_away:
                    assert said == []
                    continue
                passed = {name for name, alert in alerts.items() if alert.is_passed(history[:days])}
                changed = sorted(passed ^ told)
                assert said == [(name, "alert" if name in passed else "over") for name in changed]
                told = passed
