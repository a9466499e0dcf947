"""One fault, struck again and again under load; what was acknowledged is looked for after each."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx

from tests.faults.ledger import Ledger, drain, loading
from tests.faults.outcome import Outcome
from tests.faults.servers import Postgres, Supervisor
from tests.support.collector import rows_of, wait_until

SEED = os.environ.get("HEADWATER_FAULT_SEED") or str(time.time_ns() % 1_000_000)
EVENTS_BEFORE_A_FAULT = 500
_STORED = "select event_id from raw.events where starts_with(event_id, %s)"
OFFSET_SECONDS = (0.1, 0.8)


@dataclass(slots=True)
class Trial:
    """A collector on a PostgreSQL of its own, with a client that keeps it busy."""

    fault: str
    postgres: Postgres
    supervisor: Supervisor
    client: subprocess.Popen[bytes]
    ledger: Ledger
    random: Random
    prefix: str
    recoveries: list[float] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    _busy: list[tuple[int, float]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the collector listens."""
        return self.supervisor.collector.url

    def load(self) -> None:
        """Returns at a random moment under full load."""
        count = len(self.ledger.acknowledged)
        wait_until(lambda: self._acknowledged() >= count + EVENTS_BEFORE_A_FAULT)
        began, count = time.monotonic(), len(self.ledger.acknowledged)
        time.sleep(self.random.uniform(*OFFSET_SECONDS))
        self._busy.append((self._acknowledged() - count, time.monotonic() - began))

    def recover(self, since: float) -> None:
        """Waits until events are acknowledged again, and notes the seconds since `since`.

        Then all that is acknowledged must be in raw: what is not is `lost`.
        """
        wait_until(lambda: self.ledger.acknowledged_since(since) is not None)
        self.recoveries.append((self.ledger.acknowledged_since(since) or since) - since)
        self.compare()

    def compare(self) -> None:
        """Looks for all that is acknowledged so far in raw."""
        acknowledged = set(self.ledger.acknowledged)
        self.lost |= acknowledged - set(self._stored())

    def finish(self, times: int) -> Outcome:
        """Lets the client send again what it has no answer for, and counts."""
        drain(self.client, self.ledger)
        self.compare()
        stored = self._stored()
        return Outcome(
            self.fault,
            times,
            len(self.ledger.sent),
            len(self.ledger.acknowledged),
            sum(count for count, _ in self._busy) / sum(seconds for _, seconds in self._busy),
            len(self.ledger.acknowledged.intersection(stored)),
            len(stored) - len(set(stored)),
            len(self.lost),
            self.recoveries,
        )

    def refused(self) -> int:
        """How many requests the client was told to send again later."""
        self.ledger.read()
        return sum(count for (status, *_), count in self.ledger.answers.items() if status == 503)

    def get(self, path: str) -> int:
        """The status of a GET request."""
        return httpx.get(self.url + path).status_code

    def _acknowledged(self) -> int:
        self.ledger.read()
        return len(self.ledger.acknowledged)

    def _stored(self) -> list[str]:
        rows = rows_of(self.postgres.url, _STORED, self.prefix)
        return [event_id for (event_id,) in rows]


@contextmanager
def trial(
    fault: str,
    postgres: Postgres,
    folder: Path,
    *,
    module: str = "scripts.lib.serve",
    **environment: str,
) -> Iterator[Trial]:
    """Runs a collector and the client, and ends them however the block ends."""
    seed = f"{SEED}-{fault.replace(' ', '-')}-{folder.name}"  # eventIds begin with it
    ledger = Ledger(folder / "ledger")
    if not postgres.postmaster():  # a test before this one failed in an outage
        postgres.start()
    supervisor = Supervisor(postgres.url, module, **environment)
    try:
        with loading(supervisor.collector.url, ledger, seed) as client:
            yield Trial(fault, postgres, supervisor, client, ledger, Random(seed), seed)
    finally:
        supervisor.end()
