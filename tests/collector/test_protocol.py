"""Heads of requests, over raw sockets: too large, too slow, and not HTTP at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

import httpx
import pytest

from tests.support.api import answer, connected, event, make_key
from tests.support.collector import Collector, running_collector, served, wait_until

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def hurried(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[Collector]:
    """A collector that gives headers one second."""
    with create_database() as url, running_collector(url, HEADER_TIMEOUT_SECONDS="1") as collector:
        yield collector


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"x" * 33_000 + b"\r\n\r\n",
        GET + b"X: y\r\n" * 8000 + b"\r\n",
        b"GET /" + b"x" * 33_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"X: " + b"x" * 500_000,
        b"GET /" + b"x" * 500_000,
    ],
)
def test_head_that_is_too_large(hurried: Collector, head: bytes) -> None:
    with connected(hurried) as connection:
        connection.sendall(head)
        assert answer(connection) == (431, "headers_too_large")


def test_large_body_in_one_piece_with_its_head(hurried: Collector) -> None:
    body = json.dumps(event(activity={"a": "x" * 200_000})).encode()
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * 32_000
    with connected(hurried) as connection:
        connection.sendall(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        assert answer(connection) == (200, "")


@pytest.mark.parametrize("start", [b"G", GET, GET + b"X: "])
def test_slow_head(hurried: Collector, start: bytes) -> None:
    with connected(hurried) as connection:
        connection.sendall(start)
        assert answer(connection) == (408, "too_slow")


def test_head_byte_by_byte(hurried: Collector) -> None:
    """Each byte comes in time, the whole head does not."""
    with connected(hurried) as connection:
        connection.settimeout(0.05)
        for byte in GET * 10:
            try:
                connection.send(bytes([byte]))
                if not connection.recv(1):
                    break
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the collector still listens")


@pytest.mark.parametrize("start", [b"", b"\r\n", b"\r\n\r\n"])
def test_nothing_sent(hurried: Collector, start: bytes) -> None:
    with connected(hurried) as connection:
        connection.sendall(start)
        assert answer(connection) in ((0, ""), (408, "too_slow"))


def test_slow_second_head(hurried: Collector) -> None:
    with connected(hurried) as connection:
        connection.sendall(GET + b"\r\n" + GET)
        assert answer(connection) == (408, "too_slow")


def test_endless_body_of_a_request_that_is_answered(hurried: Collector) -> None:
    with connected(hurried) as connection:
        connection.sendall(GET + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert answer(connection) == (200, "")


CHUNKED = b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "rest",
    [
        b"0\r\n" + b"a: b\r\n" * 200_000,
        b"0\r\na: " + b"b" * 1_000_000,
        b"1;" + b"x" * 1_000_000,
        b"{}\r\n0\r\n" + b"a: b\r\n" * 200_000,
    ],
)
def test_endless_trailers(hurried: Collector, rest: bytes) -> None:
    with connected(hurried) as connection:
        with suppress(OSError):  # it is closed before all of it is sent
            connection.sendall(CHUNKED + b"\r\n" + rest)
        assert answer(connection)[0] in (0, 400, 431)


def test_a_trailer_is_no_header(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url:
        key = make_key(url, "web", "write").encode()
        with running_collector(url) as collector:
            for fields in (b"", b"Authorization: Bearer %b\r\n" % key):
                with connected(collector) as connection:
                    body = b"2\r\n{}\r\n0\r\n" + fields + b"\r\n"
                    connection.sendall(CHUNKED + b"Connection: close\r\n\r\n" + body)
                    assert answer(connection) == (401, "invalid_key")


def test_more_requests_at_once_than_are_kept(hurried: Collector) -> None:
    """Those that were read are answered, each in its turn, and then the connection ends."""
    get, post = (
        GET + b"\r\n",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    )
    with connected(hurried) as connection:
        received = b""
        with suppress(OSError):
            connection.sendall((get + post) * 5_000)
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
    assert 50 < len(statuses) < 1000
    assert statuses == ([b"200", b"400"] * len(statuses))[: len(statuses)]


def test_bodies_behind_an_answer_that_is_to_come(hurried: Collector) -> None:
    with connected(hurried) as connection:
        slow = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        body = b" " * 300_000
        connection.sendall(slow + b" " * 9 + slow.replace(b"9", b"300000") + body)
        status, _ = answer(connection)
        assert status in (0, 400)
    assert httpx.get(f"{hurried.url}/healthz").status_code == 200


def test_answers_that_are_not_read(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    """The connection ends after the time that a body may take."""
    with (
        create_database() as url,
        running_collector(url, BODY_TIMEOUT_SECONDS="1") as collector,
        connected(collector) as connection,
    ):
        connection.settimeout(1)
        with suppress(OSError):
            while True:  # until the buffers of both sides are full
                connection.sendall(b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        wait_until(lambda: served(collector) == 0)


@pytest.mark.parametrize(
    "request_",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", GET + b"bad header\r\n\r\n"],
)
def test_not_http(hurried: Collector, request_: bytes) -> None:
    with connected(hurried) as connection:
        connection.sendall(request_)
        assert answer(connection) == (400, "malformed_request")


def test_others_are_served_meanwhile(hurried: Collector) -> None:
    with (
        connected(hurried) as first,
        connected(hurried) as second,
        httpx.Client(base_url=hurried.url) as client,
    ):
        first.sendall(GET)
        second.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert client.post("/events", json=event()).status_code == 200


def test_requests_one_after_the_other_and_at_once(hurried: Collector) -> None:
    with httpx.Client(base_url=hurried.url) as client:
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
    with connected(hurried) as connection:
        connection.sendall((GET + b"\r\n") * 50 + GET + b"Connection: close\r\n\r\n")
        received = b""
        while data := connection.recv(65536):
            received += data
        assert received.count(b'{"status":"ok"}') == 51
