"""What a busy or stuck database costs those who send: how many are refused, and how long one waits.

The figures of docs/reliability.md: `scripts/bench --only stuck`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from threading import Timer

import psycopg
import urllib3

from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import Goal, MissingError, Row, Sample, alternated
from scripts.lib.bench.server import query

HELD_SECONDS = 20
PATIENCE = 120  # seconds
BODY = b'{"eventType":"page_viewed","userId":1,"activity":{}}'
Hold = Callable[[str], AbstractContextManager[None]]
_WRITERS = "select pid from pg_stat_activity where application_name = 'headwater writer'"


def stuck(bench: Bench) -> Iterator[Row]:
    """Posts beside probes without pause, behind a lock, and with the writers' backends stopped."""
    url = bench.server.create("intake")
    with bench.collector(url) as collector:
        for clients in (100, 500):
            [shares] = alternated(bench.runs, partial(_refused, bench, collector.url, clients))
            yield Row(
                f"posts beside {clients} clients of /readyz without pause",
                Sample("refused", "%", shares["percent"]),
                goal=Goal("<=", 0, "%"),
            )
        for what, hold, bound in (
            ("raw.events is locked", _locked, 6),
            ("the writers' server processes are stopped", _stopped, 13),
        ):
            [waits] = alternated(bench.runs, partial(_waited, collector.url, hold, url))
            yield Row(
                f"a post while {what} for {HELD_SECONDS} s",
                Sample("answered", "s", waits["answered"]),
                goal=Goal("<=", bound, "s"),
                note=f"/readyz answered 503 after {max(waits['ready']):.1f} s at the latest.",
            )


def _post(url: str) -> int:
    headers = {"Content-Type": "application/json"}
    answer = urllib3.request(
        "POST", f"{url}/events", body=BODY, headers=headers, retries=False, timeout=PATIENCE
    )
    return answer.status


def _refused(bench: Bench, url: str, clients: int) -> Mapping[str, float]:
    """The share of posts, one after the other, that were not answered 200 meanwhile."""
    if not shutil.which("wrk"):
        raise MissingError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    seconds = bench.seconds(8)
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", f"{url}/readyz"]
    statuses = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as probing:
        while probing.poll() is None:
            statuses.append(_post(url))
    refused = sum(status != 200 for status in statuses)
    return {"percent": 100 * refused / len(statuses)}


def _waited(url: str, hold: Hold, database_url: str) -> Mapping[str, float]:
    """Seconds until a post is answered while something is held, and until /readyz tells so."""
    while _post(url) != 200:
        time.sleep(0.1)
    with hold(database_url):
        started = time.monotonic()
        answered: list[float] = []

        def post() -> None:
            _post(url)
            answered.append(time.monotonic() - started)

        sending = Timer(0, post)
        sending.start()
        ready = HELD_SECONDS * 1.0
        while time.monotonic() - started < HELD_SECONDS:
            status = urllib3.request("GET", f"{url}/readyz", retries=False, timeout=PATIENCE).status
            if status == 503:
                ready = min(ready, time.monotonic() - started)
            time.sleep(0.2)
    sending.join()
    return {"answered": answered[0], "ready": ready}


@contextmanager
def _locked(database_url: str) -> Iterator[None]:
    with closing(psycopg.connect(database_url)) as connection:
        connection.execute("lock table raw.events")
        yield


@contextmanager
def _stopped(database_url: str) -> Iterator[None]:
    pids = [pid for (pid,) in query(database_url, _WRITERS)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
