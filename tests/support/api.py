"""What tests of the collector say to it, and what they expect of its answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from scripts.lib.keys import create_key
from tests.support.collector import Collector

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
SECRET = "ada@example.com"  # stands for personal data: it must not come back in an error
POISON = [
    '{"eventType":"page_viewed","userId":1,"eventId":"bad","activity":{"a":"\\u0000"}}',
    '{"eventType":"page_viewed","userId":1,"eventId":"bad","activity":{"a":1e200000}}',
]


def event(**properties: Any) -> dict[str, Any]:  # noqa: ANN401
    """An event that the collector takes."""
    return {"eventType": "page_viewed", "userId": 1, "activity": {}, **properties}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that a response is, which has to say nothing personal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code", "message"} <= problem.keys()
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert SECRET not in response.text
    return problem


def make_key(database_url: str, name: str, scope: str) -> str:
    """Makes a key and returns it."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        return create_key(connection, name, "write" if scope == "write" else "read")


def bearer(key: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {key}"}


def samples(client: httpx.Client) -> dict[str, float]:
    """The samples by name and labels, as they stand in the text."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@contextmanager
def connected(collector: Collector) -> Iterator[socket.socket]:
    """A connection to a collector."""
    host, port = urlsplit(collector.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection
