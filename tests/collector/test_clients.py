"""What real clients send: offers of HTTP/2, half-closed connections, beacons, BOMs, traces."""

from __future__ import annotations

import codecs
import gzip
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from collector import registry
from scripts.lib.base.browser import chromium, open_browser
from tests.support.api import JSON, NDJSON, assert_problem, connected, make_key
from tests.support.collector import Collector, running_collector, wait_until

BODY = b'{"eventType":"page_viewed","userId":1,"eventId":"%b","activity":{}}'
OFFERS = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: TLS/1.0\r\nConnection: keep-alive\r\nConnection: upgrade\r\n",
    b"",
]


def request(offer: bytes, body: bytes, *, chunked: bool = False, close: bool = False) -> bytes:
    """A POST of `body`."""
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    if chunked:
        body = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    if close:
        length += b"Connection: close\r\n"
    return b"POST /events HTTP/1.1\r\nHost: localhost\r\n%b%b\r\n%b" % (offer, length, body)


def answers(connection: socket.socket) -> list[int]:
    """The statuses of all answers until the other side closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_that_offers_http2(collector: Collector) -> None:
    done = subprocess.run(
        ["curl", "--http2", "-s", "-w", "%{http_code}", f"{collector.url}/events",
         "-H", "Content-Type: application/json", "-d", BODY % b"c"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout.endswith(b"200")
    assert collector.query("select event_id from raw.events") == [("c",)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.sampled_from(OFFERS), st.booleans()), min_size=1, max_size=4),
    st.lists(st.integers(1, 400), max_size=6),
    st.booleans(),
)
def test_offers_of_other_protocols(
    module_collector: Collector, requests: list[tuple[bytes, bool]], cuts: list[int], half: bool
) -> None:
    """Each of several requests is answered with its body, however they are cut; then it is closed.

    The client says that it is done in a header of the last one, or by closing its side.
    """
    last = len(requests) - 1
    sent = b"".join(
        request(offer, BODY % b"%d" % number, chunked=chunked, close=number == last and not half)
        for number, (offer, chunked) in enumerate(requests)
    )
    with connected(module_collector) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in cuts:
            connection.sendall(sent[:cut])
            sent = sent[cut:]
        connection.sendall(sent)
        if half:
            connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == [200] * len(requests)


@pytest.mark.parametrize("kept", [10, -1])
def test_half_of_a_request_gets_no_answer(collector: Collector, kept: int) -> None:
    with connected(collector) as connection:
        connection.sendall(request(b"", BODY % b"half")[:kept])
        connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == []
    assert collector.query("select from raw.events") == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    if not chromium():
        pytest.skip("no Chromium here")
    with open_browser() as browser:
        yield browser


def test_beacon_and_traced_request_of_a_page(
    browser: Browser, create_database: Callable[..., AbstractContextManager[str]]
) -> None:
    """sendBeacon() has no headers, so the key is in the query; it may be in no log."""
    with create_database() as url:
        key = make_key(url, "page", "write")
        with running_collector(url, CORS_ORIGINS="*", LOG_REQUESTS="on") as collector:
            page = browser.new_page()
            # Another origin than the collector's, of this machine: others Chromium keeps off it.
            page.goto(f"{collector.url.replace('127.0.0.1', 'localhost')}/healthz")
            sent = page.evaluate(
                """async ([url, key, body]) => {
                    const beacon = navigator.sendBeacon(`${url}/events?writeKey=${key}`, body)
                    const headers = {
                        'Authorization': `Bearer ${key}`, 'Content-Type': 'application/json',
                        'traceparent': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
                        'baggage': 'a=b', 'sentry-trace': '0af7651916cd43dd8448eb211c80319c',
                    }
                    const answer = await fetch(`${url}/events`, {method: 'POST', headers, body})
                    return [beacon, answer.status]
                }""",
                [collector.url, key, (BODY % b"b").decode()],
            )
            assert sent == [True, 200]
            wait_until(
                lambda: (
                    collector.query("select count(*) from raw.events where source = 'page'")
                    == [(2,)]
                )
            )
            page.close()
            assert key not in collector.log.read_text()


def test_key_in_the_query(database: str) -> None:
    """Only a write key counts there, and a header counts more."""
    write, read = make_key(database, "w", "write"), make_key(database, "r", "read")
    with running_collector(database) as collector:

        def status(query: str, **headers: str) -> int:
            url = f"{collector.url}/events?{query}"
            return httpx.post(url, content=BODY % b"q", headers=headers).status_code

        message = {"event": "conversion", "userId": "u"}
        assert status(f"writeKey={write}") == 200
        sdk = httpx.post(f"{collector.url}/v1/t?writeKey={write}", json=message)
        assert sdk.status_code == 200
        assert status(f"writeKey={read}") == 403
        assert {status(query) for query in ("writeKey=", "", f"key={write}")} == {401}
        assert status(f"writeKey={write}", Authorization="Bearer other") == 401
        for key in (read, write):
            listed = httpx.get(f"{collector.url}/users?writeKey={key}")
            assert_problem(listed, 401, "invalid_key")


def test_byte_order_marks(client: httpx.Client, collector: Collector) -> None:
    """Before JSON, NDJSON and what is inflated; not within, where it is no JSON."""
    bom, one = codecs.BOM_UTF8, BODY % b"one"
    for body, headers in (
        (bom + one, JSON),
        (bom + b"[%b]" % one, JSON),
        (bom + one + b"\n" + one, NDJSON),
        (gzip.compress(bom + one), {**JSON, "Content-Encoding": "gzip"}),
    ):
        assert client.post("/events", content=body, headers=headers).status_code == 200
    assert client.post("/users", content=bom + b'{"userId": 1}').status_code == 201
    message = b'{"event": "conversion", "userId": "u"}'
    assert client.post("/v1/t", content=bom + message).json()["accepted"] == 1
    assert_problem(client.post("/events", content=bom + bom + one), 400, "malformed_json")
    assert_problem(client.post("/events", content=bom), 400, "no_events")
    assert collector.query("select count(*) from raw.events") == [(6,)]


def test_seed_that_excel_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seed = tmp_path / registry.SEED
    seed.parent.mkdir(parents=True)
    seed.write_bytes(codecs.BOM_UTF8 + b"event_type,subject\r\npage_viewed,conversion\r\n")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    assert registry.supported_event_types() == {"page_viewed"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"event_type;subject\npage_viewed;product\n", 1),
        (b"subject,description\nproduct,\n", 1),
        (b"event_type,subject\npage_viewed,product\n\nconversion,x\n", 3),
        (b"event_type,subject\npage_viewed\n", 2),
        (b"event_type,subject\n ,product\n", 2),
        (b"event_type,subject\npage_viewed,\xe4\n", 2),
        (b'event_type,subject\npage_viewed,"product\n', 2),
    ],
)
def test_seed_that_is_broken(
    content: bytes, line: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seed = tmp_path / registry.SEED
    seed.parent.mkdir(parents=True)
    seed.write_bytes(content)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    with pytest.raises(registry.SeedError, match=rf"^{registry.SEED} line {line}: .*: \w.*$"):
        registry.supported_event_types()


def test_scores_and_emails_as_they_are_written(client: httpx.Client, collector: Collector) -> None:
    for score in (720.0, 300.0, 8.5e2):
        assert client.post("/users", json={"userId": 1, "ficoScore": score}).status_code < 300
    for score in (720.5, 299.0, 850.5):
        refused = client.post("/users", json={"userId": 1, "ficoScore": score})
        assert assert_problem(refused, 422, "invalid_field")["field"] == "ficoScore"
    for email in ("ada@example.com", " Ada@example.com\t", "\nADA@EXAMPLE.COM \r\n"):
        assert client.post("/users", json={"email": email}).status_code < 300
    assert collector.query("select email from raw.user_ids where email is not null") == [
        ("ada@example.com",)
    ]
