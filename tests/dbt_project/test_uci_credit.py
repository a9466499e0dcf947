"""A real payment history, from HTTP to marts: six months of 30,000 card holders in Taiwan, 2005.

"Default of Credit Card Clients" (Yeh 2009, UCI Machine Learning Repository, CC BY 4.0), as one row
a client and month. The expected counts are those counted from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal

import pytest

from scripts.lib.replay.run import replay
from tests.support.collector import running_collector
from tests.support.histories import UCI_CREDIT, UCI_CREDIT_MAPPING
from tests.support.warehouse import Warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not UCI_CREDIT.exists(), reason=f"the event log is not committed; put it at {UCI_CREDIT}"
    ),
]


@pytest.fixture(scope="module")
def uci_credit(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Warehouse]:
    data = tmp_path_factory.mktemp("replay")
    with create_warehouse() as warehouse:
        warehouse.set_seed(
            "project_settings",
            [
                row | ({"value": "Asia/Taipei"} if row["setting"] == "time_zone" else {})
                for row in warehouse.seed("project_settings")
            ],
        )
        with running_collector(warehouse.database_url) as collector:
            outcome = replay(UCI_CREDIT, UCI_CREDIT_MAPPING, url=collector.url, data_directory=data)
        assert (outcome.accepted, outcome.rejected) == (180_000, {})
        warehouse.build()
        yield warehouse


def test_every_client_month_is_in_the_marts_once(uci_credit: Warehouse) -> None:
    assert uci_credit.query(
        "select count(*), count(distinct event_id), count(distinct user_id) from marts.fct_events"
    ) == [(180_000, 180_000, 30_000)]


def test_payments_by_user(uci_credit: Warehouse) -> None:
    assert uci_credit.query(
        """
        select
            count(*),
            sum(payments_made),
            sum(payments_missed),
            sum(payments_not_due),
            count(*) filter (where payments_missed > 0),
            count(*) filter (where payments_made > 0 and payments_missed = 0),
            count(*) filter (where payments_made = 0 and payments_missed = 0),
            round(100 * sum(payments_made) / sum(payments_made + payments_missed), 2)
        from marts.credit_profiles
        """
    ) == [(30_000, 130_559, 25_026, 24_415, 10_069, 17_822, 2_109, Decimal("83.91"))]


def test_on_time_rate_is_of_the_payments_due(uci_credit: Warehouse) -> None:
    """Who never missed is at 1, who had nothing to pay has no rate; the log has no scores."""
    assert uci_credit.query(
        """
        select
            count(*) filter (where on_time_rate = 1),
            count(*) filter (where on_time_rate < 1),
            count(*) filter (where on_time_rate is null),
            count(current_score)
        from marts.credit_profiles
        """
    ) == [(17_822, 10_069, 2_109, 0)]


def test_payments_by_month(uci_credit: Warehouse) -> None:
    assert uci_credit.query(
        """
        select
            to_char(occurred_on, 'YYYY-MM'),
            count(*) filter (where event_type = 'payment_made'),
            count(*) filter (where event_type = 'payment_missed'),
            count(*) filter (where event_type = 'payment_not_due')
        from marts.fct_events
        group by 1
        order by 1
        """
    ) == [
        ("2005-04", 22_026, 3_079, 4_895),
        ("2005-05", 22_486, 2_968, 4_546),
        ("2005-06", 22_142, 3_510, 4_348),
        ("2005-07", 21_702, 4_213, 4_085),
        ("2005-08", 21_780, 4_438, 3_782),
        ("2005-09", 20_423, 6_818, 2_759),
    ]
