"""What tests of the collector say to it, and what they expect of its answers."""

from __future__ import annotations

import asyncio
import json
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


def answer(connection: socket.socket) -> tuple[int, str]:
    """Reads until the other side closes: the status and code of the last answer, or 0."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    if not received:
        return 0, ""
    head, _, body = received.rpartition(b"\r\n\r\n")
    status = int(head.rpartition(b"HTTP/1.1 ")[2].split()[0])
    return status, str(json.loads(body).get("code", ""))


async def post(url: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401
    """Sends one request on a connection of its own; its status and its decoded body."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    host, port = urlsplit(url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    lines, _, text = answer.partition(b"\r\n\r\n")
    if lines and not text.endswith(b"}"):
        raise ConnectionResetError("the answer is cut off")
    return int(lines.split()[1]), json.loads(text)


def post_at_once(url: str, bodies: list[Any]) -> list[tuple[int, Any]]:
    """Sends all bodies at the same time."""

    async def send() -> list[tuple[int, Any]]:
        return await asyncio.gather(*(post(url, body) for body in bodies))

    return asyncio.run(send())
