"""What a client sent and what it was told, to compare with what the database holds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.settings import ROOT
from tests.faults.client import GIVE_UP_SECONDS


@dataclass(slots=True)
class Ledger:
    """Read from the file that the load client writes; times are of the machine's monotonic clock.

    `answers` counts the requests by status (0: the connection was lost), `code` of the problem and
    `Retry-After`.
    """

    path: Path
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[tuple[int, str | None, str | None]] = field(default_factory=Counter)
    _acknowledgements: list[tuple[float, float]] = field(default_factory=list)
    _offset: int = 0

    def read(self) -> None:
        """Takes in what the client has noted since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole_lines = file.read().rpartition(b"\n")
        self._offset += sum(map(len, whole_lines[:2]))
        for line in whole_lines[0].splitlines():
            self._take(json.loads(line))

    def _take(self, note: dict[str, Any]) -> None:
        if "sent" in note:
            self.sent.update(note["sent"])
            return
        began, ended, status = note["began"], note["ended"], note["status"]
        code = note["code"] if status else None
        self.answers[status, code, note.get("retry_after")] += 1
        if status == 200:
            self.acknowledged.update(note["acknowledged"])
            self._acknowledgements.append((began, ended))

    def acknowledged_since(self, moment: float) -> float | None:
        """When the first request that began after `moment` was acknowledged; None: not yet."""
        self.read()
        ends = [ended for began, ended in reversed(self._acknowledgements) if began > moment]
        return min(ends, default=None)

    def statuses(self) -> set[int]:
        """The statuses that came back; 0 is a lost connection."""
        return {status for status, _, _ in self.answers}


@contextmanager
def loading(url: str, ledger: Ledger, seed: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the load client; the block ends it with `drain`, else it is killed."""
    ledger.path.touch()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.client", url, str(ledger.path), seed],
        cwd=ROOT,
        stdin=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def drain(process: subprocess.Popen[bytes], ledger: Ledger) -> None:
    """Lets the client send again what is not acknowledged, and waits until everything is."""
    assert process.stdin is not None
    process.stdin.close()
    status = process.wait(GIVE_UP_SECONDS + 10)
    ledger.read()
    assert status == 0, f"events stayed unacknowledged; answers: {ledger.answers}"
