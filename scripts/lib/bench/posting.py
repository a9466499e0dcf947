"""Load on a collector: rows are counted after each run, and who kept the cores busy is noted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import psutil

from scripts.lib.bench.bench import Bench
from scripts.lib.bench.load import wrk
from scripts.lib.bench.measure import check_answers, check_count
from scripts.lib.bench.server import execute, postgres_processes, query

SECONDS = 6
WARM_UP_SECONDS = 1
SIDES = ("collector", "PostgreSQL", "wrk")


@dataclass(frozen=True, slots=True)
class Requests:
    """What is posted: over how many connections, and how many events of how many bytes each."""

    connections: int
    events: int = 1
    event_bytes: int = 370
    may_be_refused: bool = False  # 429: too much is waiting
    says_when: bool = True  # occurredAt and sentAt

    def __str__(self) -> str:
        plural = "s" if self.events > 1 else ""
        return f"{self.events} event{plural} a request, {self.connections} connections"


def posted(bench: Bench, database_url: str, url: str, requests: Requests) -> Mapping[str, float]:
    """Posts to the collector at `url` for a while: events a second, latencies in ms, cores busy.

    Begins with an empty raw.events. Raises ViolationError where an event that was answered with
    2xx is not in it afterwards.
    """
    bench.say(f"wrk on Headwater: {requests}")
    execute(database_url, "truncate raw.events")
    bench.server.settle()
    before, started = _seconds_used(bench), time.monotonic()
    load = wrk(
        f"{url}/events",
        requests.connections,
        bench.seconds(SECONDS),
        str(requests.events),
        str(requests.event_bytes),
        "yes" if requests.says_when else "no",
    )
    elapsed = time.monotonic() - started
    after = _seconds_used(bench)
    [(count,)] = query(database_url, "select count(*) from raw.events")
    if not requests.may_be_refused:
        check_answers(f"Headwater, {requests}", load.refused)
    events, abandoned = load.ok * requests.events, requests.connections * requests.events
    check_count(f"Headwater, {requests}", events, count, abandoned)
    cores = dict.fromkeys(SIDES, 0.0)
    for (side, pid), seconds in after.items():
        cores[side] += (seconds - before.get((side, pid), 0)) / elapsed
    figures = {"per_second": load.per_second * requests.events, "p50": load.p50, "p99": load.p99}
    return figures | cores | {"refused": load.refused, "ok": load.ok}


def cores_busy(of: str, figures: Mapping[str, tuple[float, ...]]) -> str:
    """A sentence on how many cores each side kept busy."""
    busy = ", ".join(f"{side} {median(figures[side]):.2f}" for side in SIDES)
    return f"Cores busy with {of}: {busy}."


def _seconds_used(bench: Bench) -> dict[tuple[str, int], float]:
    """Processor seconds so far by side and process."""
    here = psutil.Process()
    used = here.cpu_times()
    times = {("wrk", here.pid): used.children_user + used.children_system}  # once it has ended
    ours = [("collector", child) for child in here.children(recursive=True)]
    theirs = [("PostgreSQL", process) for process in postgres_processes(bench.server.url)]
    for side, process in ours + theirs:
        with suppress(psutil.Error):  # it has ended meanwhile, as autovacuum's do
            if side == "PostgreSQL" or "scripts.lib.serve" in process.cmdline():
                times[side, process.pid] = sum(process.cpu_times()[:2])
    return times
