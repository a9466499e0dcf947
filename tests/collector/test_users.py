"""POST /users, GET /users and GET /users/{id}."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.api import JSON, SECRET, assert_problem
from tests.support.collector import Collector

pytestmark = pytest.mark.every_postgres

ADA = {"email": "ada@example.com", "name": "Ada", "ficoScore": 720}


def post(client: httpx.Client, **user: Any) -> dict[str, Any]:  # noqa: ANN401
    response = client.post("/users", json=user)
    assert response.status_code in (200, 201), response.text
    answer: dict[str, Any] = response.json()
    return answer


def state(client: httpx.Client, user_id: float | str) -> Any:  # noqa: ANN401
    return client.get(f"/users/{user_id}").json()


def test_the_prototypes_two_requests(client: httpx.Client, collector: Collector) -> None:
    response = client.post("/users", json=ADA)
    assert response.status_code == 201
    assert response.headers["location"] == "/users/1"
    assert response.json() == {"userId": 1, **ADA}
    response = client.get("/users")
    assert (response.status_code, response.json()) == (200, [{"userId": 1, **ADA}])
    rows = collector.query(
        "select source, key_id, user_id, payload, occurred_at = received_at from raw.users"
    )
    assert rows == [("default", None, "1", ADA, True)]


def test_update_by_email_in_any_case(client: httpx.Client, collector: Collector) -> None:
    client.post("/users", json=ADA)
    response = client.post("/users", json={"email": "ADA@Example.com", "ficoScore": 740})
    assert response.status_code == 200
    assert response.json() == {"userId": 1, "email": "ADA@Example.com", "ficoScore": 740}
    assert state(client, 1) == {**response.json(), "name": "Ada"}
    assert collector.query("select count(*) from raw.users") == [(2,)]
    assert collector.query("select user_id, email from raw.user_ids") == [("1", "ada@example.com")]
    assert post(client, email="b@example.com")["userId"] == 2


def test_history_in_any_order(client: httpx.Client) -> None:
    post(client, userId=7, name="new", plan="b", occurredAt="2026-03-01T00:00:00Z")
    post(client, userId=7, name="newest", occurredAt="2026-03-01T02:00:00+02:00")
    post(client, userId=7, name="old", city="x", occurredAt="2025-01-01T00:00:00Z")
    assert state(client, 7) == {"userId": 7, "name": "newest", "plan": "b", "city": "x"}


def test_null_counts_as_absent(client: httpx.Client) -> None:
    post(client, userId="u", email=None, name="Ada", occurredAt=None)
    post(client, userId="u", name=None)
    assert state(client, "u") == {"userId": "u", "name": "Ada"}


@pytest.mark.parametrize(
    ("user_id", "path"), [(42, "42"), (1.0, "1"), ("a b/c?%", "a%20b%2Fc%3F%25"), ("-", "-")]
)
def test_own_ids_come_back_as_sent(client: httpx.Client, user_id: float | str, path: str) -> None:
    response = client.post("/users", json={"userId": user_id})
    assert response.status_code == 201
    assert response.headers["location"] == f"/users/{path}"
    found = client.get(f"/users/{path}")
    assert (found.status_code, found.json()) == (200, {"userId": user_id})


def test_new_ids_skip_those_of_clients(client: httpx.Client) -> None:
    for user_id in (1, "2", 3.0, 5, "x"):
        post(client, userId=user_id)
    made = [post(client, email=f"{n}@example.com")["userId"] for n in range(3)]
    assert made == [4, 6, 7]


def test_email_is_attached(client: httpx.Client) -> None:
    post(client, userId=9)
    assert client.post("/users", json={"userId": 9, **ADA}).status_code == 200
    assert post(client, email="ada@example.com", ficoScore=800)["userId"] == 9


def test_email_may_change(client: httpx.Client) -> None:
    post(client, userId=9, **ADA)
    post(client, userId=9, email="new@example.com")
    assert post(client, email="new@example.com")["userId"] == 9
    assert post(client, email="ada@example.com")["userId"] == 1


def test_answers_have_what_the_request_brought(client: httpx.Client) -> None:
    """As text, numbers and nulls included; the id is added where there is none."""
    body = b'{"email":"a@b","n":1.50e1,"o":{"x":null},"userId":null,"occurredAt":null}'
    response = client.post("/users", content=body, headers=JSON)
    assert response.text == body.decode().replace('"userId":null', '"userId":1')
    for user_id, found in (("7", 7), ("007", "007"), (8.0, 8), ("x", "x"), ("9" * 16, "9" * 16)):
        post(client, userId=user_id, email=f"{user_id}@example.com")
        assert post(client, email=f"{user_id}@example.com")["userId"] == found


def test_email_of_another_user_tells_nothing(client: httpx.Client, collector: Collector) -> None:
    post(client, userId=9, email=SECRET, name="Ada")
    for user_id, status in (("new", 201), ("new", 200)):
        known = client.post("/users", json={"userId": user_id, "email": SECRET})
        unknown = client.post("/users", json={"userId": f"{user_id}er", "email": f"not-{SECRET}"})
        assert known.status_code == unknown.status_code == status
        assert known.json() == {"userId": user_id, "email": SECRET}
        assert known.headers.keys() == unknown.headers.keys()
    # The email goes on to find whom it found, and is a property of both.
    assert post(client, email=SECRET)["userId"] == 9
    assert state(client, "new") == {"userId": "new", "email": SECRET}
    assert collector.query("select user_id, email from raw.user_ids order by user_number") == [
        ("9", SECRET),
        ("new", None),
        ("newer", f"not-{SECRET}"),
    ]


def test_one_email_of_many_users_at_once(client: httpx.Client, collector: Collector) -> None:
    def post_both(number: int) -> list[int]:
        users = [{"userId": f"{n}-{number}", "email": f"{n}@example.com"} for n in range(2)]
        return [client.post("/users", json=user).status_code for user in users]

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(post_both, range(40))) == [[201, 201]] * 40
    assert collector.query("select count(*), count(email) from raw.user_ids") == [(80, 2)]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("email", ["", SECRET.replace("@", ""), 1, SECRET * 22, []]),
        ("userId", [True, 1.5, "", "x" * 129, 2**53]),
        ("name", [1, "x" * 1025, {}]),
        ("ficoScore", ["720", 299, 851, 720.5, True]),
        ("occurredAt", ["yesterday", 1, "2026-02-30T00:00:00Z"]),
    ],
)
def test_invalid_field(
    client: httpx.Client, collector: Collector, field: str, values: list[Any]
) -> None:
    for value in values:
        response = client.post("/users", json={"userId": 1, field: value})
        problem = assert_problem(response, 422, "invalid_field")
        assert problem["field"] == field
    assert collector.query("select count(*) from raw.user_ids") == [(0,)]


def test_neither_email_nor_user_id(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/users", json={"name": "x"}), 422, "missing_field")
    assert "email" in problem["message"]
    assert "userId" in problem["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"[]", 422, "nothing_accepted"),
        (b'{"email":"a@b\\u0000"}', 422, "not_storable"),
        (b'{"userId":1,"a":"\\u0000"}', 422, "not_storable"),
        (b'{"userId":1,"a":1e200000}', 422, "not_storable"),
        (b'{"userId":1,"a":' + b"[" * 64 + b"]" * 64 + b"}", 400, "too_deep"),
        (b'{"userId":1,"a":"' + b"x" * 1024 * 1024 + b'"}', 413, "too_large"),
    ],
)
def test_bad_bodies(
    client: httpx.Client, collector: Collector, body: bytes, status: int, code: str
) -> None:
    assert_problem(client.post("/users", content=body, headers=JSON), status, code)
    assert collector.query("select count(*) from raw.user_ids") == [(0,)]


@pytest.mark.parametrize("path", ["nobody", "1.0", "%00", "%ff", "", "x" * 1000])
def test_no_such_user(client: httpx.Client, path: str) -> None:
    post(client, userId=1)
    response = client.get(f"/users/{path}")
    assert response.status_code in (404, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_pages(client: httpx.Client) -> None:
    ids = [post(client, userId=user_id)["userId"] for user_id in ("z", 3, "a&b", 1, "é")]
    seen, path = [], "/users?limit=2"
    while path:
        response = client.get(path)
        seen.append([user["userId"] for user in response.json()])
        path = response.links.get("next", {}).get("url", "")
    assert seen == [ids[:2], ids[2:4], ids[4:]]
    assert "link" not in client.get("/users?limit=5").headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=", "limit"),
        ("after=nobody", "after"),
    ],
)
def test_bad_pages(client: httpx.Client, query: str, field: str) -> None:
    problem = assert_problem(client.get(f"/users?{query}"), 422, "invalid_parameter")
    assert problem["field"] == field


def test_page_after_nul(client: httpx.Client) -> None:
    assert client.get("/users?after=%00").status_code == 422


def test_one_id_per_email_under_concurrency(client: httpx.Client, collector: Collector) -> None:
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: client.post("/users", json=ADA), range(200)))
    assert sorted(answer.status_code for answer in answers) == [200] * 199 + [201]
    assert len({answer.json()["userId"] for answer in answers}) == 1
    assert collector.query("select count(*) from raw.user_ids") == [(1,)]
    assert collector.query("select count(*) from raw.users") == [(200,)]


def test_made_and_given_ids_race(client: httpx.Client, collector: Collector) -> None:
    bodies: list[dict[str, Any]] = [{"userId": n} for n in range(1, 61)]
    bodies += [{"email": f"{n}@example.com"} for n in range(60)]
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda body: client.post("/users", json=body), bodies))
    assert {answer.status_code for answer in answers} <= {200, 201}
    rows = collector.query("select count(distinct email) from raw.user_ids")
    assert rows == [(60,)]
