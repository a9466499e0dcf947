"""A source and a destination that raw is replicated between, and `scripts/link` on them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from collector.settings import ROOT
from tests.faults.servers import Postgres
from tests.support.collector import rows_of, wait_until

# Stamps are the destination's own; all else is the same on both sides, to the row.
RAW = {
    "events": "event_row_id, received_at, source, key_id, event_id, payload",
    "users": "user_row_id, received_at, occurred_at, source, key_id, user_id, payload",
    "rejected_events": "rejected_row_id, received_at, source, key_id, code, message, payload",
}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
REJECT = """
    insert into raw.rejected_events (received_at, source, code, message, payload)
    values (now(), 'default', 'missing_field', 'eventType is missing', '{}')
"""
UPDATE_USER = """
    insert into raw.users (received_at, occurred_at, source, user_id, payload)
    values (now(), '2026-10-01 00:00:00+00', 'default', '1', '{"userId": 1, "ficoScore": 700}')
"""
IN_A_YEAR = """
    insert into raw.events (received_at, source, event_id, payload)
    values (
        now() + interval '13 months', 'default', 'in a year',
        '{"eventType": "page_viewed", "userId": 1, "activity": {}}'
    )
"""
WITH_NOTE = """
    insert into raw.events (received_at, source, event_id, payload, note)
    values (now() + interval '13 months', 'default', 'in a year', '{}', 'x')
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and a destination, each a server of its own, and `scripts/link` on them."""

    source: Postgres
    destination: Postgres
    folder: Path

    def script(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a script on both databases."""
        return subprocess.run(
            [ROOT / "scripts" / arguments[0], *arguments[1:]],
            env={
                "PATH": os.environ["PATH"],
                "HEADWATER_DATA": str(self.folder),
                "SOURCE_DATABASE_URL": self.source.url,
                "DESTINATION_DATABASE_URL": self.destination.url,
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def link(self, *arguments: str, **environment: str) -> str:
        """Runs `scripts/link`, which has to succeed, and returns what it printed."""
        finished = self.script("link", *arguments, **environment)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        """Runs `scripts/link`, which has to fail, and returns its one line of error."""
        finished = self.script("link", *arguments, **environment)
        assert finished.returncode == 1, finished.stdout
        assert finished.stderr.startswith("error: ")
        assert finished.stderr.count("\n") == 1, finished.stderr
        return finished.stderr

    def agree(self, **columns: str) -> None:
        """Waits until raw is the same on both sides, row by row."""
        for table, names in (RAW | columns).items():
            query = f"select {names} from raw.{table} order by 1"  # noqa: S608
            here = rows_of(self.source.url, query)
            wait_until(lambda: len(rows_of(self.destination.url, query)) == len(here))  # noqa: B023
            assert rows_of(self.destination.url, query) == here
