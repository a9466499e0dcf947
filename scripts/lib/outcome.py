"""What became of a replay so far, kept in a file so that a killed run can be continued."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

EXAMPLES = 5


@dataclass(slots=True)
class Outcome:
    """How many rows of the file are acknowledged, and what became of them.

    `resumed_after` is the number that an earlier run had come to.
    `rejected` counts by code the rows that could not be read or mapped, or that the collector
    refused; `examples` tells of the first few.
    """

    rows: int = 0
    resumed_after: int = 0
    accepted: int = 0
    skipped: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    finished: bool = False

    def reject(self, row: int, code: str, message: str) -> None:
        """Counts a row that did not land."""
        self.rejected[code] = self.rejected.get(code, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"row {row}: {message}")

    def add(self, part: Outcome) -> None:
        """Counts what became of the rows that follow, up to the row `part.rows`."""
        self.rows = part.rows
        self.accepted += part.accepted
        self.skipped += part.skipped
        for code, count in part.rejected.items():
            self.rejected[code] = self.rejected.get(code, 0) + count
        self.examples = [*self.examples, *part.examples][:EXAMPLES]


def state_path(data: Path, fingerprint: str, mapping: Path | None, url: str, users: bool) -> Path:
    """The state file of sending this content, by this mapping, to this collector."""
    rules = mapping.read_bytes() if mapping else b""
    target = b"users" if users else b"events"
    key = hashlib.sha256(b"\0".join([fingerprint.encode(), url.encode(), target, rules]))
    return data / "replays" / f"{key.hexdigest()[:32]}.json"


def load(state: Path) -> Outcome:
    """What an earlier run came to; a new start where there was none."""
    if not state.exists():
        return Outcome()
    outcome = msgspec.json.decode(state.read_bytes(), type=Outcome)
    outcome.resumed_after = outcome.rows
    return outcome


def save(state: Path, outcome: Outcome) -> None:
    """Replaces the state file in one step."""
    state.parent.mkdir(parents=True, exist_ok=True)
    new = state.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(outcome))
    os.replace(new, state)


def summary(file: Path, outcome: Outcome) -> Table:
    """One screen about a replay."""
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(escape(f"rows of {file.name}"), f"{outcome.rows:,}")
    table.add_row("accepted", f"{outcome.accepted:,}")
    if outcome.skipped:
        table.add_row("skipped, as the mapping says", f"{outcome.skipped:,}")
    for code, count in sorted(outcome.rejected.items()):
        table.add_row(escape(f"rejected: {code}"), f"{count:,}")
    return table
