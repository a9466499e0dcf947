"""Bodies: gzip, how much is held at once, and that memory stays bounded under a flood."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from scripts.lib.bench.attacks import ATTACKS, strike
from scripts.lib.keys import create_key
from tests.support.api import JSON, NDJSON, assert_problem, event
from tests.support.collector import Collector, running_collector, served, wait_until

GZIP = {**JSON, "Content-Encoding": "gzip"}
EMPTY_OBJECT = gzip.compress(b"{}", mtime=0)  # names of tests have to be the same in each process
MEBIBYTE = 1024 * 1024
MAX_PEAK = 150 * MEBIBYTE


def peak(collector: Collector) -> int:
    """The most memory the process has had so far, in bytes."""
    status = Path(f"/proc/{collector.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_gzip(client: httpx.Client, collector: Collector, coding: str) -> None:
    events = [event(eventId=f"e-{n}", activity={"a": os.urandom(50).hex()}) for n in range(5000)]
    body = gzip.compress(json.dumps(events).encode())
    response = client.post("/events", content=body, headers={**JSON, "Content-Encoding": coding})
    assert response.json()["accepted"] == 5000
    assert collector.query("select count(*) from raw.events") == [(5000,)]
    user = gzip.compress(b'{"userId": 1}')
    assert client.post("/users", content=user, headers=GZIP).status_code == 201


def test_larger_once_inflated_than_on_the_wire_is_fine(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps(event()).encode() + b" " * 15 * MEBIBYTE)
    response = client.post("/events", content=body, headers=GZIP)
    assert_problem(response, 413, "too_large")  # the event, not the body
    body = gzip.compress(b"\n" * 15 * MEBIBYTE + json.dumps(event()).encode())
    headers = {**NDJSON, "Content-Encoding": "gzip"}
    assert client.post("/events", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        EMPTY_OBJECT[:-1],
        EMPTY_OBJECT + b"x",
        EMPTY_OBJECT + EMPTY_OBJECT,
        EMPTY_OBJECT[:10] + b"\xff" * 20,
    ],
)
def test_not_gzip(client: httpx.Client, body: bytes) -> None:
    response = client.post("/events", content=body, headers=GZIP)
    assert_problem(response, 400, "malformed_gzip")


def test_bombs_are_413_and_take_no_memory(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    bomb = gzip.compress(b"[" + b"0," * 100 * MEBIBYTE)
    nested = gzip.compress(bomb)
    with create_database() as url, running_collector(url) as collector:
        for path in ("/events", "/users"):
            response = httpx.post(collector.url + path, content=bomb, headers=GZIP, timeout=60)
            assert_problem(response, 413, "body_too_large")
        response = httpx.post(f"{collector.url}/events", content=nested, headers=GZIP)
        assert_problem(response, 400, "malformed_json")
        assert peak(collector) < MAX_PEAK


def test_hostile_bodies_take_little_memory(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    wide = {"eventType": "page_viewed", "userId": 1.0, "activity": {}}
    wide["activity"] = {f"{n}": n for n in range(60_000)}
    bodies: list[tuple[bytes | str, dict[str, str], int, str]] = [
        (b"[" + b"0," * 2_000_000 + b"0]", JSON, 413, "too_many_events"),
        (b"[" + b"[]," * 1_300_000 + b"0]", JSON, 413, "too_many_events"),
        (b'["' + b'","' * 1_300_000 + b'"]', JSON, 413, "too_many_events"),
        (b"0\n" * 2_000_000, NDJSON, 413, "too_many_events"),
        (b"\n" * 4_000_000, NDJSON, 400, "no_events"),
        (b"[" * 4_000_000, JSON, 400, "too_deep"),
        (b'{"a":' * 700_000, JSON, 413, "too_large"),
        (b'{"a":' * 700_000, NDJSON, 422, "nothing_accepted"),
        (b"[" + b"0," * 4999 + b"0]", JSON, 422, "nothing_accepted"),
        ("[" + ",".join(['"😀"'] * 5000) + "]", JSON, 422, "nothing_accepted"),
    ]
    with create_database() as url, running_collector(url) as collector:
        before = peak(collector)
        for body, headers, status, code in bodies:
            content = body.encode() if isinstance(body, str) else body
            response = httpx.post(
                f"{collector.url}/events", content=content, headers=headers, timeout=60
            )
            assert_problem(response, status, code)
        many_keys = httpx.post(f"{collector.url}/events", json=wide)
        assert many_keys.status_code == 200
        after = peak(collector)
    print(f"peak RSS: {before >> 20} MiB idle, {after >> 20} MiB after hostile bodies")  # noqa: T201
    assert after < MAX_PEAK


def test_flood_while_nothing_can_be_stored(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    """Large bodies and small events by the thousand, all waiting: 429, bounded memory, no loss."""
    large = json.dumps([event(activity={"a": "x" * 1000})] * 3500).encode()
    small = json.dumps([event()] * 5000).encode()
    refused = b"[" + b"0," * 4999 + json.dumps(event()).encode() + b"]"
    with (
        create_database() as url,
        running_collector(url) as collector,
        closing(psycopg.connect(url)) as blocker,
    ):
        blocker.execute("lock table raw.events")

        async def flood() -> list[httpx.Response]:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(timeout=120, limits=limits) as client:
                sending = [
                    asyncio.create_task(client.post(f"{collector.url}/events", content=body))
                    for body in [large, small, refused] * 40
                ]
                await asyncio.wait(sending, timeout=2)
                assert (await client.get(f"{collector.url}/healthz")).status_code == 200
                blocker.rollback()
                return await asyncio.gather(*sending)

        responses = asyncio.run(flood())
        statuses = {response.status_code for response in responses}
        print(f"peak RSS under the flood: {peak(collector) >> 20} MiB")  # noqa: T201
        assert statuses == {200, 429}
        for response in responses:
            if response.status_code == 429:
                assert_problem(response, 429, "overloaded")
                assert 1 <= int(response.headers["retry-after"]) <= 5
        accepted = sum(r.json()["accepted"] for r in responses if r.status_code == 200)
        assert collector.query("select count(*) from raw.events") == [(accepted,)]
        assert peak(collector) < MAX_PEAK
        assert "headwater_held_bytes 0.0" in httpx.get(f"{collector.url}/metrics").text


def test_bytes_count_while_they_arrive(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    """Bodies that are never finished take their share of the bound, and give it back."""
    with create_database() as url, running_collector(url, MAX_WAITING_BYTES="100000") as collector:
        host, port = urlsplit(collector.url).netloc.split(":")

        async def hold() -> None:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
            )
            writer.write(b" " * 99_900)
            async with httpx.AsyncClient(base_url=collector.url) as client:
                while "held_bytes 99900.0" not in (await client.get("/metrics")).text:
                    await asyncio.sleep(0.01)
                response = await client.post("/events", json=event())
                assert_problem(response, 429, "overloaded")
                writer.close()
                await writer.wait_closed()
                while "held_bytes 0.0" not in (await client.get("/metrics")).text:
                    await asyncio.sleep(0.01)
                assert (await client.post("/events", json=event())).status_code == 200

        asyncio.run(asyncio.wait_for(hold(), 30))


def test_body_that_comes_too_slowly(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    with create_database() as url, running_collector(url, BODY_TIMEOUT_SECONDS="1") as collector:
        host, port = urlsplit(collector.url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head)
            with connection.makefile("rb") as file:
                received = file.read()  # to the end: the collector closes
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in received


def test_refused_body_is_drained_so_that_the_answer_is_seen(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url, running_collector(url) as collector:
        for mebibytes in (1, 5, 11):
            body = b" " * (mebibytes * MEBIBYTE)
            for path, status in (("/nothing", 404), ("/healthz", 405)):
                response = httpx.post(collector.url + path, content=body)
                assert response.status_code == status
        body = b" " * (64 * MEBIBYTE)  # more than is drained: the connection ends
        try:
            response = httpx.post(f"{collector.url}/events", content=body)
            assert_problem(response, 413, "body_too_large")
            assert response.headers["connection"] == "close"
        except httpx.TransportError:
            pass
        wait_until(lambda: served(collector) == 0)
        assert peak(collector) < MAX_PEAK


def test_attacks_take_little_memory(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    """Those that scripts/bench measures, one after the other on one collector."""
    with create_database() as url, running_collector(url) as collector:
        for name, attack in ATTACKS.items():
            strike(url, collector.url, attack)
            assert peak(collector) < MAX_PEAK, name
        wait_until(lambda: served(collector) == 0)
        assert "headwater_held_bytes 0.0" in httpx.get(f"{collector.url}/metrics").text


def test_what_is_common_to_a_batch_counts_in_each_message(
    client: httpx.Client, collector: Collector
) -> None:
    message = {"type": "track", "event": "e", "userId": "u"}
    for size, count, status in ((1000, 1000, 200), (1_000_000, 5, 413), (1000, 5000, 413)):
        body = {"context": {"a": "x" * size}, "batch": [message] * count}
        assert client.post("/v1/batch", json=body).status_code == status
    assert collector.query("select count(*) from raw.events") == [(1000,)]
    held = client.get("/metrics").text
    assert "headwater_held_bytes 0.0" in held


@pytest.fixture(scope="module")
def keyed(
    create_database: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[Collector, str]]:
    """A collector with keys, and one that may write."""
    with create_database() as url:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            key = create_key(connection, "web", "write")
        with running_collector(url) as collector:
            yield collector, key


@pytest.mark.parametrize("path", ["/events", "/users", "/v1/batch"])
def test_a_wrong_key_is_refused_before_the_body(keyed: tuple[Collector, str], path: str) -> None:
    headers = {"Authorization": "Bearer wrong", "Content-Encoding": "gzip"}
    response = httpx.post(keyed[0].url + path, content=b"no gzip", headers=headers)
    assert_problem(response, 401, "invalid_key")


def test_bodies_with_their_key_within_give_way_to_each_other(keyed: tuple[Collector, str]) -> None:
    """Who does not finish is refused, whoever sends all of it is served; others notice nothing."""
    collector, key = keyed
    host, port = urlsplit(collector.url).netloc.split(":")
    track = {"type": "track", "event": "e", "userId": "u", "writeKey": key}

    async def hold() -> list[bytes]:
        head = b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"
        held = []
        for _ in range(8):  # twice of what all may have
            held.append(await asyncio.open_connection(host, int(port)))
            held[-1][1].write(head + b" " * 1_048_570)
            await held[-1][1].drain()
        async with httpx.AsyncClient(base_url=collector.url) as client:
            for _ in range(3):
                assert (await client.post("/v1/track", json=track)).status_code == 200
            authorized = {"Authorization": f"Bearer {key}"}
            large = [event(activity={"a": "x" * 1000})] * 3500
            response = await client.post("/events", json=large, headers=authorized)
            assert response.json()["accepted"] == 3500
        answers = [await reader.read(12) for reader, _ in held[:4]]
        for _, writer in held:
            writer.close()
        return answers

    assert asyncio.run(asyncio.wait_for(hold(), 60)) == [b"HTTP/1.1 429"] * 4
    large = httpx.post(
        f"{collector.url}/v1/track", json={**track, "properties": {"a": "x" * 2**20}}
    )
    assert_problem(large, 413, "body_too_large")
