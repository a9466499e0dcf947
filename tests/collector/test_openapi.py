"""The OpenAPI document is complete and true, and the page that shows it loads nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from collector import __version__
from collector.app import create_app
from collector.migrate import migrate
from collector.settings import Settings
from tests.support.api import JSON, NDJSON, POISON, bearer, connected, event, make_key
from tests.support.collector import Collector, running_collector
from tests.support.postgres import own_server, stopped

HUGE = "x" * (1024 * 1024)
MESSAGE = {"event": "conversion", "userId": "u"}
# Every route with every status that a client can bring about; {} is a body that is not looked at.
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("post /events", "200", "write", {"json": event()}),
    ("post /events", "200", "write", {"json": [event(), {}]}),
    ("post /events", "400", "write", {"content": b"{", "headers": JSON}),
    ("post /events", "401", "", {"json": event()}),
    ("post /events", "403", "read", {"json": event()}),
    ("post /events", "413", "write", {"json": event(activity={"a": HUGE})}),
    ("post /events", "415", "write", {"data": {"a": "b"}}),
    ("post /events", "422", "write", {"json": event(eventType="nope")}),
    ("post /events", "422", "write", {"content": POISON[0], "headers": JSON}),
    ("post /events", "422", "write", {"content": "{}\n{}", "headers": NDJSON}),
    ("post /events", "431", "write", {"headers": {"X": "x" * 40_000}}),
    ("post /v1/{call}", "200", "write", {"json": MESSAGE}),
    ("post /v1/{call}", "200", "", {"json": MESSAGE, "with_key": True}),
    ("post /v1/{call}", "200", "write", {"json": {}}),
    ("post /v1/{call}", "400", "write", {"content": b"{", "headers": JSON}),
    ("post /v1/{call}", "400", "write", {"json": {}, "path": "/v1/batch"}),
    ("post /v1/{call}", "401", "", {"json": MESSAGE}),
    ("post /v1/{call}", "403", "read", {"json": MESSAGE}),
    ("post /v1/{call}", "404", "write", {"json": MESSAGE, "path": "/v1/m"}),
    ("post /v1/{call}", "413", "write", {"json": {"batch": [{}] * 5001}, "path": "/v1/batch"}),
    ("post /v1/{call}", "415", "write", {"data": {"a": "b"}}),
    ("post /v1/{call}", "415", "write", {"content": "{}", "headers": NDJSON}),
    ("post /v1/{call}", "422", "write", {"json": []}),
    ("post /v1/{call}", "431", "write", {"headers": {"X": "x" * 40_000}}),
    ("post /users", "201", "write", {"json": {"userId": "new", "email": "a@b"}}),
    ("post /users", "200", "write", {"json": {"userId": "new"}}),
    ("post /users", "400", "write", {"content": b"{", "headers": JSON}),
    ("post /users", "401", "", {"json": {}}),
    ("post /users", "403", "read", {"json": {}}),
    ("post /users", "413", "write", {"json": {"userId": 1, "name": HUGE}}),
    ("post /users", "415", "write", {"data": {"a": "b"}}),
    ("post /users", "200", "write", {"json": [{"userId": "new"}, {}]}),
    ("post /users", "422", "write", {"content": "{}\n{}", "headers": NDJSON}),
    ("post /users", "422", "write", {"json": {}}),
    ("post /users", "431", "write", {"headers": {"X": "x" * 40_000}}),
    ("get /users", "200", "read", {"params": {"limit": "1"}}),
    ("get /users", "401", "", {}),
    ("get /users", "403", "write", {}),
    ("get /users", "422", "read", {"params": {"limit": "0"}}),
    ("get /users", "431", "read", {"headers": {"X": "x" * 40_000}}),
    ("get /users/{userId}", "200", "read", {}),
    ("get /users/{userId}", "401", "", {}),
    ("get /users/{userId}", "403", "write", {}),
    ("get /users/{userId}", "404", "read", {"path": "/users/nobody"}),
    ("get /users/{userId}", "422", "read", {"path": "/users/%00"}),
    ("get /users/{userId}", "431", "read", {"headers": {"X": "x" * 40_000}}),
    ("get /key", "200", "write", {}),
    ("get /key", "200", "read", {}),
    ("get /key", "401", "", {}),
    ("get /key", "431", "read", {"headers": {"X": "x" * 40_000}}),
    ("get /healthz", "200", "", {}),
    ("get /readyz", "200", "", {}),
    ("get /metrics", "200", "", {}),
    ("get /openapi.json", "200", "", {}),
    ("get /docs", "200", "", {}),
    ("get /", "200", "", {}),
]
# 408, 429 and 503 take a slow client, a flood and an outage: see below and test_limits.
ELSEWHERE = {
    *((f"post {path}", "408") for path in ("/events", "/users", "/v1/{call}")),
    ("post /v1/{call}", "429"),
    *(
        (f"{method} {path}", status)
        for method, path in (
            ("post", "/events"),
            ("post", "/users"),
            ("get", "/users"),
            ("get", "/users/{userId}"),
            ("get", "/readyz"),
            ("get", "/key"),
        )
        for status in ("429", "503")
    ),
}


Keyed = tuple[Collector, dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def document(module_collector: Collector) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{module_collector.url}/openapi.json").json()
    return document


@pytest.fixture(scope="module")
def keyed(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[Keyed]:
    """A collector with a key of each scope, by scope."""
    with create_database() as url:
        keys = {scope: bearer(make_key(url, scope, scope)) for scope in ("write", "read")}
        with running_collector(url) as collector:
            yield collector, {"": {}, **keys}


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    for name in value.get("$ref", "").split("/")[1:]:
        value = document[name] if name == "components" else value[name]
    return value


def assert_true_to(document: dict[str, Any], operation: str, response: httpx.Response) -> None:
    """Fails where the document does not describe the answer."""
    method, path = operation.split()
    described = document["paths"][path][method]["responses"][str(response.status_code)]
    described = resolved(document, described)
    media_type = response.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    if media_type.endswith("json"):
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(response.json())
    for name, header in described.get("headers", {}).items():
        header = resolved(document, header)  # noqa: PLW2901
        assert name in response.headers or not header.get("required")


def test_document_is_valid(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == __version__
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    app = create_app(Settings.from_environment({"DATABASE_URL": "postgresql://nowhere"}))
    routes = {
        (method.lower(), route.path.replace("{user_id:path}", "{userId}"))
        for route in app.routes
        if isinstance(route, Route) and route.methods
        for method in route.methods - {"HEAD"}
    }
    documented = {
        (method, path) for path, methods in document["paths"].items() for method in methods
    }
    assert documented == routes


def test_every_documented_status_is_tried(document: dict[str, Any]) -> None:
    documented = {
        (f"{method} {path}", status)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for status in operation["responses"]
    }
    tried = {(operation, status) for operation, status, _, _ in CASES}
    assert tried | ELSEWHERE == documented


@pytest.mark.parametrize(("operation", "status", "scope", "sent"), CASES)
def test_answers(  # noqa: PLR0917  pytest passes them by name
    keyed: Keyed,
    document: dict[str, Any],
    operation: str,
    status: str,
    scope: str,
    sent: dict[str, Any],
) -> None:
    collector, keys = keyed
    method, path = operation.split()
    sent = dict(sent)
    url = collector.url + sent.pop("path", path.format(userId="new", call="track"))
    if sent.pop("with_key", False):
        sent["json"] = {**sent["json"], "writeKey": keys["write"]["Authorization"].split()[1]}
    headers = {**keys[scope], **sent.pop("headers", {})}
    if path == "/users/{userId}":
        httpx.post(f"{collector.url}/users", json={"userId": "new"}, headers=keys["write"])
    if status == "201":
        with closing(psycopg.connect(collector.database_url, autocommit=True)) as connection:
            connection.execute("truncate raw.users, raw.user_ids")
    response = httpx.request(method.upper(), url, headers=headers, **sent)
    assert response.status_code == int(status), response.text
    assert_true_to(document, operation, response)


def test_answers_without_a_database(document: dict[str, Any]) -> None:
    with own_server() as (url, data):
        migrate(url)
        with (
            running_collector(url) as collector,
            stopped(data),
            httpx.Client(base_url=collector.url) as client,
        ):
            for operation, status in ELSEWHERE:
                method, path = operation.split()
                if status == "503" or (operation, status) == ("post /v1/{call}", "429"):
                    body = event(userId=1) if method == "post" else None
                    path = path.format(userId="1", call="track")
                    response = client.request(method.upper(), path, json=body)
                    assert response.status_code == int(status)
                    assert_true_to(document, operation, response)


def test_slow_bodies(
    create_database: Callable[..., AbstractContextManager[str]], document: dict[str, Any]
) -> None:
    with create_database() as url, running_collector(url, BODY_TIMEOUT_SECONDS="1") as collector:
        for path in ("/events", "/users", "/v1/{call}"):
            with connected(collector) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
                connection.sendall(head.format(call="track").encode())
                received = b""
                while data := connection.recv(65536):
                    received += data
            head, _, body = received.decode().partition("\r\n\r\n")
            headers = dict(line.split(": ") for line in head.split("\r\n")[1:])
            response = httpx.Response(int(head.split()[1]), headers=headers, text=body)
            assert response.status_code == 408
            assert_true_to(document, f"post {path}", response)


def test_page_shows_everything_and_loads_nothing(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    for text in ("POST /events", "GET /users/{userId}", "Retry-After", "eventType"):
        assert text in response.text
    loaded = re.findall(r"(?:src|href|url|@import)\s*[=(]\s*[\"']?([^\"'\s>]+)", response.text)
    assert set(loaded) == {"/openapi.json"}


def test_fuzzing_from_the_document(keyed: Keyed, tmp_path: Path) -> None:
    collector, keys = keyed
    (tmp_path / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\nexpected-statuses = ['4xx']\n"  # 413 is one too
    )
    for scope, included in (("write", "POST"), ("read", "GET")):
        finished = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run"),
                f"{collector.url}/openapi.json",
                *("--header", f"Authorization: {keys[scope]['Authorization']}"),
                *("--include-method", included),
                *("--mode", "all"),
                *("--max-examples", "60"),
                *("--seed", "1"),
                "--generation-deterministic",
                *("--phases", "examples,coverage,fuzzing"),
                "--continue-on-failure",
                *("--exclude-checks", "ignored_auth,positive_data_acceptance"),
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-3000:]
