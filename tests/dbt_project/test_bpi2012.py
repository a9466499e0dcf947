"""A real history, from HTTP to marts: BPI Challenge 2012, 262,200 events of 13,087 applications.

The expected counts are the published ones and those counted from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from scripts.lib.replay.run import replay
from tests.support.collector import running_collector
from tests.support.histories import BPI2012, BPI2012_IS_THERE, BPI2012_MAPPING
from tests.support.warehouse import Warehouse

pytestmark = [pytest.mark.slow, BPI2012_IS_THERE]


@pytest.fixture(scope="module")
def bpi2012(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Warehouse]:
    data = tmp_path_factory.mktemp("replay")
    with create_warehouse() as warehouse:
        with running_collector(warehouse.database_url) as collector:
            outcome = replay(BPI2012, BPI2012_MAPPING, url=collector.url, data_directory=data)
        assert (outcome.accepted, outcome.rejected) == (262_200, {})
        warehouse.build()
        yield warehouse


def test_every_event_is_in_the_marts_once(bpi2012: Warehouse) -> None:
    assert bpi2012.query(
        "select count(*), count(distinct event_id), count(distinct user_id) from marts.fct_events"
    ) == [(262_200, 262_200, 13_087)]
    # Nobody was created through POST /users: the marts say so.
    assert bpi2012.query("select is_known, count(*) from marts.dim_users group by 1") == [
        (False, 13_087)
    ]


def test_applications_by_event(bpi2012: Warehouse) -> None:
    """Users and events by type, as they are in the file under the bank's own names."""
    rows = bpi2012.query(
        """
        select event_type, count(distinct user_id), count(*) from marts.fct_events
        where event_subject in ('application', 'offer')
        group by 1
        """
    )
    counts = {event_type: events for event_type, _, events in rows}
    users = {event_type: users for event_type, users, _ in rows}
    once = {
        "application_submitted": 13_087,
        "application_partly_submitted": 13_087,
        "application_preaccepted": 7_367,
        "application_accepted": 5_113,
        "application_finalized": 5_015,
        "application_registered": 2_246,
        "application_approved": 2_246,
        "application_activated": 2_246,
        "application_declined": 7_635,
        "application_cancelled": 2_807,
    }
    assert counts == once | {
        "offer_selected": 7_030,
        "offer_created": 7_030,
        "offer_sent": 7_030,
        "offer_sent_back": 3_454,
        "offer_accepted": 2_243,
        "offer_declined": 802,
        "offer_cancelled": 3_655,
    }
    assert users.items() >= once.items()
    assert users["offer_sent"] == 5_015
    assert users["offer_sent_back"] == 3_254
    assert users["offer_accepted"] == 2_243


def test_strictly_ordered_funnel(bpi2012: Warehouse) -> None:
    assert bpi2012.query(
        """
        select step, sum(entered), sum(reached) from marts.conversion_funnel_daily
        where funnel = 'loan_application' and segment = 'all'
        group by step, step_order
        order by step_order
        """
    ) == [
        ("submitted", 13_087, 13_087),
        ("partly_submitted", 13_087, 13_087),
        ("preaccepted", 13_087, 7_367),
        ("accepted", 13_087, 5_113),
        ("finalized", 13_087, 5_015),
        ("offer_sent_back", 13_087, 3_254),
        ("approved", 13_087, 2_246),
    ]


def test_outcomes(bpi2012: Warehouse) -> None:
    assert bpi2012.query(
        """
        select outcome, count(*), count(distinct user_id) from marts.fct_funnel_progress
        where funnel = 'loan_application'
        group by 1
        order by 1
        """
    ) == [
        ("approved", 2_246, 2_246),
        ("cancelled", 2_807, 2_807),
        ("declined", 7_635, 7_635),
        ("open", 399, 399),
    ]


def test_work_items_by_type(bpi2012: Warehouse) -> None:
    assert bpi2012.query("select count(*) from marts.fct_tasks") == [(26_318,)]
    assert bpi2012.query(
        """
        select
            task_type,
            count(*),
            sum(times_scheduled),
            sum(times_started),
            sum(times_completed),
            count(distinct user_id)
        from marts.fct_tasks
        group by 1
        order by task_type collate "C"
        """
    ) == [
        ("W_Afhandelen leads", 4_771, 4_771, 5_897, 5_898, 4_755),
        ("W_Beoordelen fraude", 124, 124, 270, 270, 108),
        ("W_Completeren aanvraag", 7_371, 7_371, 23_512, 23_967, 7_367),
        ("W_Nabellen incomplete dossiers", 2_383, 2_383, 11_400, 11_407, 1_647),
        ("W_Nabellen offertes", 6_634, 6_634, 22_406, 22_976, 5_015),
        ("W_Valideren aanvraag", 5_023, 5_023, 7_891, 7_895, 3_254),
        ("W_Wijzigen contractgegevens", 12, 12, 0, 0, 7),
    ]


def test_cohorts_by_month_in_the_time_zone_of_the_bank(bpi2012: Warehouse) -> None:
    zone = {"time_zone": "Europe/Amsterdam"}
    settings = bpi2012.seed("project_settings")
    bpi2012.set_seed(
        "project_settings",
        [row | {"value": zone.get(row["setting"], row["value"])} for row in settings],
    )
    bpi2012.run()  # an ordinary build recomputes every day that the setting cuts

    assert bpi2012.query(
        """
        select
            to_char(cohort_on, 'YYYY-MM'),
            sum(entered) filter (where step_order = 1),
            sum(reached) filter (where step = 'approved')
        from marts.conversion_funnel_daily
        where funnel = 'loan_application' and segment = 'all'
        group by 1
        order by 1
        """
    ) == [
        ("2011-10", 2_393, 500),
        ("2011-11", 2_940, 460),
        ("2011-12", 2_122, 376),
        ("2012-01", 2_747, 487),
        ("2012-02", 2_885, 423),
    ]
