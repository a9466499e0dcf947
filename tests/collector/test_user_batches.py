"""POST /users with several: as if they had come one by one, and fast."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.collector import Collector
from tests.support.postgres import EMPTY

pytestmark = pytest.mark.every_postgres

NDJSON = {"Content-Type": "application/x-ndjson"}
WHO: list[dict[str, Any]] = [
    {"userId": "a"},
    {"userId": "a", "email": "X@y"},
    {"email": "x@Y"},
    {"userId": 1, "email": "z@y"},
    {"userId": "1"},
    {"email": "z@y"},
    {"email": "new@y"},
    {"email": "NEW@y"},
    {"userId": "a", "email": "other@y"},
    {"userId": 1, "email": "x@y"},
    {"userId": "b", "email": "z@y"},
    {"email": "nobody"},
    {},
]
USER: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    st.sampled_from(WHO),
    name=st.sampled_from(["Ada", "Bob"]),
    occurredAt=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
)
KNOWN = [{"userId": "a", "email": "x@y"}, {"userId": 1, "email": "z@y"}]
STORED = "select user_id, payload from raw.users order by user_row_id"
IDS = "select user_id, email from raw.user_ids order by user_id"


def test_bad_ones_are_refused_alone(collector: Collector, client: httpx.Client) -> None:
    users: list[Any] = [
        {"userId": "a", "email": "Ada@example.com"},
        {"name": "nobody"},
        {"email": "ada@example.com", "name": "Ada"},
        {"userId": "b", "name": "\0"},
        7,
        {"email": "new@example.com", "ficoScore": 9000},
        {"email": "new@example.com", "ficoScore": 700},
    ]
    for body, headers in (
        (json.dumps(users), {"Content-Type": "application/json"}),
        ("\n".join(map(json.dumps, users)), NDJSON),
    ):
        answer = client.post("/users", content=body, headers=headers)
        assert answer.status_code == 200
        assert (answer.json()["accepted"], answer.json()["userIds"][:2]) == (3, ["a", "a"])
        assert [each["index"] for each in answer.json()["rejected"]] == [1, 3, 4, 5]
    none = client.post("/users", json=[{}, 1])
    assert (none.status_code, none.json()["code"]) == (422, "nothing_accepted")
    assert [email for _, email in collector.query(IDS)] == ["new@example.com", "ada@example.com"]


@given(users=st.lists(USER, min_size=1, max_size=8))
@example(users=[{"userId": "a", "email": "other@y"}, {"userId": 1, "email": "x@y"}])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_together_is_as_one_by_one(
    collector: Collector, client: httpx.Client, users: list[dict[str, Any]]
) -> None:
    def stored() -> tuple[list[Any], list[Any]]:
        found = collector.query(STORED), collector.query(IDS)
        with closing(psycopg.connect(collector.database_url, autocommit=True)) as connection:
            connection.execute(EMPTY)
        return found

    stored()
    for user in KNOWN + users:
        client.post("/users", json=user)
    alone = stored()
    client.post("/users", json=KNOWN + users)
    assert stored() == alone
