"""What one client can make the collector hold, and how long it can keep it from others."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg
import urllib3

from scripts.lib.keys import create_key

MEBIBYTE = 1024 * 1024
PATIENCE = 300  # seconds; a collector that is not protected takes minutes for some of these
HELD_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Target:
    """A collector with keys, under attack."""

    url: str
    write_key: str
    read_key: str

    def connect(self) -> socket.socket:
        """A connection that never reads by itself."""
        host, port = urlsplit(self.url).netloc.split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """The status of the answer; 0 where the connection ended without one."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            answer = urllib3.request(
                method,
                self.url + path,
                body=body,
                headers={"Content-Type": "application/json", **names},
                retries=False,
                timeout=PATIENCE,
            )
        except urllib3.exceptions.HTTPError:
            return 0
        return answer.status

    def authorized(self) -> dict[str, str]:
        """The header of a client with a write key."""
        return {"Authorization": f"Bearer {self.write_key}"}


# Each prepares, yields, and strikes when it goes on.
Attack = Callable[[Target], Iterator[None]]


def copied_context(target: Target, **headers: str) -> Iterator[None]:
    """2,000 messages, a megabyte common to all: 1.4 kB on the wire."""
    message = '{"type":"track","event":"e","userId":"u"}'
    common = json.dumps({"context": {"a": "x" * 1_000_000}, "writeKey": "none"})
    batch = ",".join([message] * 2000)
    body = gzip.compress(f'{common[:-1]},"batch":[{batch}]}}'.encode())
    yield
    target.request("POST", "/v1/batch", body, Content_Encoding="gzip", **headers)


def copied_context_with_a_key(target: Target) -> Iterator[None]:
    """The same by a client that may write."""
    yield from copied_context(target, **target.authorized())


def held_bodies(target: Target) -> Iterator[None]:
    """Bodies of 16 MiB that are never finished, 33 kB on the wire, while others post."""
    sizes = [16 * MEBIBYTE, 16 * MEBIBYTE, *(2**power for power in range(9, 5, -1))]
    bodies = [gzip.compress(b" " * size) for size in sizes]
    head = b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    event = b'{"eventType":"page_viewed","userId":1,"activity":{}}'
    with ExitStack() as stack:
        yield
        for body in bodies:
            stack.enter_context(target.connect()).sendall(head % len(body) + body[:-1])
            time.sleep(0.5)  # until it is inflated
        until = time.monotonic() + HELD_SECONDS
        statuses: list[int] = []
        while time.monotonic() < until:
            statuses.append(target.request("POST", "/events", event, **target.authorized()))
        if refused := len(statuses) - statuses.count(200):
            raise AssertionError(f"{refused} of {len(statuses)} posts of others were refused")


def unread_answers(target: Target) -> Iterator[None]:
    """40 connections that send 262 kB of requests at once and read no answer."""
    requests = b"GET /docs HTTP/1.1\r\n\r\n" * 11_915
    with ExitStack() as stack:
        yield
        for _ in range(40):
            connection = stack.enter_context(target.connect())
            connection.settimeout(0.1)
            try:
                connection.sendall(requests)
            except OSError:
                continue
        time.sleep(HELD_SECONDS)


def trailers(target: Target) -> Iterator[None]:
    """20 MB of fields after the body."""
    head = b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    fields = b"a:b\r\n" * 4_000_000
    with target.connect() as connection:
        yield
        try:
            connection.sendall(head + b"2\r\n{}\r\n0\r\n" + fields + b"\r\n")
            connection.recv(1)
        except OSError:
            return


def nested_lines(target: Target) -> Iterator[None]:
    """16 MiB of NDJSON in nested arrays."""
    line = b'{"a":' + b"[" * 60 + b"],[" * 1200 + b"]" * 60 + b"}\n"
    body = gzip.compress(line * (16 * MEBIBYTE // len(line)))
    yield
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
    target.request("POST", "/events", body, **headers, **target.authorized())


def many_texts(target: Target) -> Iterator[None]:
    """16 MiB of events of nothing but short texts and brackets."""
    event = b'{"eventType":"page_viewed","userId":1,"activity":{"a":[%b]}}'
    event %= b'["[",{}],' * 100_000 + b"1"
    body = gzip.compress(b"[" + b",".join([event] * 17) + b"]")
    yield
    target.request("POST", "/events", body, Content_Encoding="gzip", **target.authorized())


def refused_messages(target: Target) -> Iterator[None]:
    """16 MiB of messages that are refused and kept, of characters that take most memory."""
    message = '{"type":"none","a":"' + "\U0001f600" * 800 + '"}'
    batch = ",".join([message] * 4900)
    body = gzip.compress(f'{{"batch":[{batch}]}}'.encode())
    yield
    target.request("POST", "/v1/batch", body, Content_Encoding="gzip", **target.authorized())


def python_json(target: Target) -> Iterator[None]:
    """A megabyte that only the JSON of Python's SDK can read."""
    body = b'{"batch":[NaN' + b',{"a":[]}' * 4999 + b',{"a":[' + b"{}," * 330_000 + b"0]}]}"
    yield
    target.request("POST", "/v1/batch", body, **target.authorized())


def unread_pages(target: Target) -> Iterator[None]:
    """Pages of 40 users of a megabyte, asked for on 8 connections that do not read."""
    for number in range(40):
        user = {"userId": f"large-{number}", "name": "x", "a": "x" * 1_000_000}
        target.request("POST", "/users", json.dumps(user).encode(), **target.authorized())
    request = f"GET /users?limit=1000 HTTP/1.1\r\nAuthorization: Bearer {target.read_key}\r\n\r\n"
    with ExitStack() as stack:
        yield
        for _ in range(8):
            stack.enter_context(target.connect()).sendall(request.encode())
        time.sleep(HELD_SECONDS)


ATTACKS: dict[str, Attack] = {
    "a batch's common megabyte, without a key": copied_context,
    "the same with a key": copied_context_with_a_key,
    "unfinished gzip bodies, without a key": held_bodies,
    "pipelined requests, answers unread": unread_answers,
    "trailers of 20 MB": trailers,
    "16 MiB of nested NDJSON": nested_lines,
    "16 MiB of short texts": many_texts,
    "16 MiB of refused messages": refused_messages,
    "a megabyte that is not quite JSON": python_json,
    "pages of large users, unread": unread_pages,
}


def strike(database_url: str, url: str, attack: Attack) -> float:
    """Runs an attack; returns the longest wait for /healthz meanwhile, in milliseconds.

    Raises AssertionError where others were refused.
    """
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        read_key = create_key(connection, "attacked", "read")
        target = Target(url, create_key(connection, "attacked", "write"), read_key)
    # Until the collector asks for keys, and knows the newest.
    known = target.authorized()["Authorization"]
    while True:
        statuses = target.request("GET", "/key"), target.request("GET", "/key", Authorization=known)
        if statuses == (401, 200):
            break
        time.sleep(0.1)
    attacking = attack(target)
    next(attacking)
    waits: list[float] = []
    over = Event()
    probe = Thread(target=_probe, args=(url, waits, over))
    probe.start()
    time.sleep(0.2)
    try:
        for _ in attacking:
            pass
    finally:
        over.set()
        probe.join()
    return max(waits)


def _probe(url: str, waits: list[float], over: Event) -> None:
    with urllib3.PoolManager(timeout=PATIENCE, retries=False) as pool:
        while not over.is_set() or not waits:
            started = time.perf_counter()
            pool.request("GET", f"{url}/healthz")
            waits.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
