"""Limits of metrics, and events that stay away: somebody is told, once, and once it is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scripts.lib.base.settings import Settings
from scripts.lib.status.alerts import tell_alerts
from scripts.lib.status.receipts import silence
from tests.support.warehouse import Warehouse
from tests.support.webhook import webhook

pytestmark = pytest.mark.every_postgres


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
        warehouse.run("--select", "+rpt_alerts", "+rpt_receipts", reports=True)

    def told() -> list[tuple[str, str]]:
        with webhook() as (url, posted):
            settings = Settings.from_environment({"ALERT_WEBHOOK_URL": url})
            tell_alerts(settings, warehouse.database_url)
        return [(post["status"], post["text"].partition(" (")[0]) for post in posted]

    halved = "events_halved: {}Half as many events on the last whole day as a week before"
    land("2026-10-24", 10)
    land("2026-10-31", 4)
    assert told() == [("alert", halved.format(""))]
    assert told() == []
    quiet = silence(warehouse.database_url, "reports")
    assert quiet
    assert quiet.startswith("no event came since 2026-10-31 23:00 UTC, longer than the 48 hours")
    land("2026-10-31", 9, received_at=f"{datetime.now(UTC)}")  # four of them known
    assert silence(warehouse.database_url, "reports") is None
    assert told() == [("over", halved.format("over: "))]
    assert told() == []
