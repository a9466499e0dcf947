"""The row about erasure: what one pass over raw costs, however many people it is about."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from scripts.lib.base.database import Databases
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import Row, Sample, alternated, check_count
from scripts.lib.bench.server import execute
from scripts.lib.bench.warehouse import EVENTS_PER_USER, LARGE, land_script
from scripts.lib.privacy.erasure import preview
from scripts.lib.privacy.people import Identity
from scripts.lib.privacy.place import opened_place

MANY = 1000  # people in a file of ids


def erase(bench: Bench) -> Iterator[Row]:
    """`scripts/erase --file --dry-run`: everything that it does in raw, and takes back."""
    users = bench.count(LARGE)
    url = bench.server.create("erase")
    bench.say(f"landing {users * EVENTS_PER_USER:,} events in raw")
    land_script(url, "land_history", {"users": users})
    execute(url, "vacuum analyze")
    databases = Databases(url, url, url, embedded=False)

    def erased(people: int) -> Mapping[str, float]:
        bench.server.settle()
        bench.say(f"scripts/erase of {people:,}")
        ids = [Identity("user", str(number)) for number in range(1, people + 1)]
        with opened_place(databases) as place:
            started = time.monotonic()
            counts, _ = preview(place, ids)
            seconds = time.monotonic() - started
        check_count("scripts/erase", people * EVENTS_PER_USER, counts["raw.events"])
        return {"seconds": seconds}

    many, one = alternated(bench.runs, lambda: erased(MANY), lambda: erased(1))
    yield Row(
        f"erasing {MANY:,} people from raw of {users * EVENTS_PER_USER:,} events, in one pass",
        Sample("a file of ids", "s", many["seconds"]),
        Sample("one person", "s", one["seconds"]),
        note="Found, deleted and taken back again; what dbt makes anew of it comes beside.",
    )
