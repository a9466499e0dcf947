"""The generated stream: the same everywhere, and shaped like a business."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest

from collector.registry import supported_event_types
from collector.settings import ROOT
from scripts.lib.base.client import encode
from scripts.lib.demo.generator import DAYS, UNSUPPORTED_TYPE, UNTIL, Stream, generate
from scripts.lib.demo.journey import SITE

FINGERPRINT = """
import hashlib
from scripts.lib.base.client import encode
from scripts.lib.demo.generator import generate
stream = generate(40, seed=7)
print(hashlib.sha256(encode([stream.users, stream.events])).hexdigest())
"""


@pytest.fixture(scope="module")
def stream() -> Stream:
    return generate()


def test_another_process_generates_the_same_bytes() -> None:
    stream = generate(40, seed=7)
    here = hashlib.sha256(encode([stream.users, stream.events])).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    there = subprocess.check_output(
        [sys.executable, "-c", FINGERPRINT], env=environment, text=True
    ).strip()
    assert here == there


def test_seeds_differ() -> None:
    assert generate(10, seed=1).events != generate(10, seed=2).events


def test_more_users_contain_fewer() -> None:
    fewer = {encode(event) for event in generate(20).events}
    more = {encode(event) for event in generate(40).events}
    assert fewer < more


def test_size(stream: Stream) -> None:
    assert len({user["userId"] for user in stream.users}) == 2000
    assert len({user["email"] for user in stream.users if "email" in user}) == 2000
    supported = [event for event in stream.events if event["eventType"] != UNSUPPORTED_TYPE]
    assert len({event["eventId"] for event in supported}) == stream.distinct_events >= 50_000
    assert len(supported) - stream.distinct_events == stream.duplicates
    assert len(stream.events) - len(supported) == stream.unsupported > 0
    assert 0.005 < stream.duplicates / len(stream.events) < 0.02


def test_every_event_type_is_supported_but_the_one_meant_not_to_be(stream: Stream) -> None:
    types = {event["eventType"] for event in stream.events}
    assert types - set(supported_event_types()) == {UNSUPPORTED_TYPE}


def test_copies_under_one_id_are_equal(stream: Stream) -> None:
    copies: dict[str, set[bytes]] = defaultdict(set)
    for event in stream.events:
        copies[event["eventId"]].add(encode(event))
    assert {len(payloads) for payloads in copies.values()} == {1}


def test_times_are_within_the_range_and_mostly_in_order(stream: Stream) -> None:
    times = [datetime.fromisoformat(event["occurredAt"]) for event in stream.events]
    assert min(times) >= UNTIL - timedelta(days=DAYS)
    assert max(times) < UNTIL
    newest = times[0]
    late = 0
    for at in times:
        late += at < newest - timedelta(minutes=15)
        newest = max(newest, at)
    assert 0.01 < late / len(times) < 0.05


def test_some_events_are_taken_back(stream: Stream) -> None:
    """Few, each of them once, and sent after what they take back."""
    first: dict[str, int] = {}
    for index, event in enumerate(stream.events):
        first.setdefault(event["eventId"], index)
    voids = {e["eventId"]: e for e in stream.events if e["eventType"] == "event_voided"}
    wrong = [void["activity"]["eventId"] for void in voids.values()]
    assert len(voids) == len(set(wrong)) == stream.voids
    assert 10 < stream.voids < 200
    assert all(first[each] < first[void] for void, each in zip(voids, wrong, strict=True))


def test_some_users_have_a_second_device(stream: Stream) -> None:
    """That tells its own time, now and then forgets its user, and at times is offline for days."""
    devices: dict[int, set[str]] = defaultdict(set)
    for event in stream.events:
        if "anonymousId" in event and "userId" in event:
            devices[event["userId"]].add(event["anonymousId"])
    further = {event["anonymousId"] for event in stream.events if "+" in event["occurredAt"]}
    assert 0.05 < sum(len(ids) > 1 for ids in devices.values()) / 2000 < 0.3
    forgotten = [e for e in stream.events if e.get("anonymousId") in further and "userId" not in e]
    assert len(forgotten) > 50
    newest = datetime.fromisoformat(stream.events[0]["occurredAt"])
    held_up = 0
    for event in stream.events:
        at = datetime.fromisoformat(event["occurredAt"])
        held_up += at < newest - timedelta(days=1)
        newest = max(newest, at)
    assert held_up > 100


def test_funnel_loses_users_at_each_step(stream: Stream) -> None:
    steps = ["submitted", "preaccepted", "accepted", "finalized", "approved"]
    users = [
        len({e["userId"] for e in stream.events if e["eventType"] == f"application_{step}"})
        for step in steps
    ]
    assert users == sorted(set(users), reverse=True)
    assert users[-1] > 100


def test_tasks_of_several_kinds_end_in_every_way(stream: Stream) -> None:
    last: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for event in sorted(stream.events, key=lambda event: str(event["occurredAt"])):
        if event["eventType"].startswith("task_"):
            task = event["activity"]["taskId"]
            last[task] = event["eventType"]
            kinds[task] = event["activity"]["taskType"]
    assert len(set(kinds.values())) == 5
    ends = Counter(last.values())
    assert ends["task_completed"] > ends["task_abandoned"] > 0
    assert ends["task_started"] > 0


def test_better_scores_are_approved_more_often(stream: Stream) -> None:
    scores = {user["userId"]: user["ficoScore"] for user in reversed(stream.users)}

    def approval(low: int, high: int) -> float:
        def users(event_type: str) -> int:
            return len(
                {
                    event["userId"]
                    for event in stream.events
                    if event["eventType"] == event_type and low <= scores[event["userId"]] <= high
                }
            )

        return users("application_approved") / users("application_submitted")

    assert approval(740, 850) > approval(580, 669) > approval(300, 579)


def test_visits_come_from_many_places_and_strangers_from_others_than_members(
    stream: Stream,
) -> None:
    """So that rules of attribution differ in their answers; other pages come from the site."""
    origins: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for event in stream.events:
        page = event["activity"]
        if event["eventType"] == "page_viewed" and not page.get("referrer", "").startswith(SITE):
            origin = page.get("utmSource") or page.get("referrer", "direct")
            origins["userId" in event][origin] += 1
    strangers, members = origins[False], origins[True]
    assert set(strangers) & set(members) > {"direct"}
    assert "newsletter" in set(members) - set(strangers)
    assert strangers.most_common(1) != members.most_common(1)
    assert min(members["direct"], strangers["direct"]) > 100
    within = [event for event in stream.events if SITE in event["activity"].get("referrer", "")]
    assert len(within) > sum(strangers.values())
