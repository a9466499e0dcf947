"""What became of a replay: counted, with examples, and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.table import Table

from scripts.lib.base.cli import plain
from scripts.lib.base.client import Receipt

EXAMPLES = 5  # of each reason


@dataclass(slots=True)
class Outcome:
    """How many records are acknowledged, and what became of them.

    Each record is mapped, skipped or one of `rejected`, which counts by code; what was made of the
    mapped ones is accepted, `already` there by an earlier run, or one of `refused`, by the code of
    the collector. `left_out` are attributes that could not be read, `unsupported` event types that
    the collector does not know, `examples` the first few by reason.
    """

    kind: str = "events"
    rows: int = 0
    resumed_after: int = 0
    mapped: int = 0
    skipped: int = 0
    events: int = 0
    accepted: int = 0
    already: int = 0
    repeated: int = 0
    conflicts: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    unsupported: dict[str, int] = field(default_factory=dict)
    missing_types: list[str] = field(default_factory=list)  # only these are sent: the others were
    reasons: dict[str, list[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    finished: bool = False
    digest: str = ""

    def reject(self, place: object, code: str, message: str) -> None:
        """Counts a record of which nothing was sent."""
        self.rejected[code] = self.rejected.get(code, 0) + 1
        self.example(code, place, message)

    def count(self, receipt: Receipt, place_of: Callable[[int], object]) -> None:
        """Counts what the collector said of what was sent, of which each has its place."""
        self.accepted += receipt.accepted
        for each in receipt.rejected:
            self.refused[each.code] = self.refused.get(each.code, 0) + 1
            self.example(each.code, place_of(each.index), each.message)

    def example(self, reason: str, place: object, text: str) -> None:
        """Keeps an example, where there are few of its reason."""
        self._keep(reason, f"{place}: {text}")

    def _keep(self, reason: str, text: str) -> None:
        found = self.reasons.setdefault(reason, [])
        if len(found) < EXAMPLES:
            found.append(text)

    @property
    def examples(self) -> list[str]:
        """All examples, reason by reason."""
        return [text for texts in self.reasons.values() for text in texts]

    def add(self, part: Outcome) -> None:
        """Counts what became of the records that follow, up to `part.rows`."""
        self.rows, self.digest = part.rows, part.digest
        for name in ("mapped", "skipped", "events", "accepted", "already", "repeated", "conflicts"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        for name in ("rejected", "refused", "left_out", "times", "unsupported"):
            counts = getattr(self, name)
            for code, count in getattr(part, name).items():
                counts[code] = counts.get(code, 0) + count
        for reason, texts in part.reasons.items():
            for text in texts:
                self._keep(reason, text)

    @property
    def adds_up(self) -> bool:
        """Whether each record and each event is counted once."""
        records = self.mapped + self.skipped + sum(self.rejected.values())
        sent = self.accepted + self.already + sum(self.refused.values())
        return self.rows == records and self.events == sent

    @property
    def is_complete(self) -> bool:
        """Whether all that the mapping asks for has landed, and there was something."""
        wrong = self.rejected, self.refused, self.left_out, self.broken, self.conflicts
        return not any(wrong) and self.adds_up and self.accepted + self.already > 0


def summary(name: str, outcome: Outcome) -> Table:
    """One screen about a replay."""
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")

    def rows(text: str, counts: Mapping[str, int]) -> None:
        for reason, count in sorted(counts.items()):
            table.add_row(plain(text.format(reason)), f"{count:,}")

    table.add_row(plain(f"rows of {name}"), f"{outcome.rows:,}")
    if outcome.skipped:
        table.add_row("  skipped, as the mapping says", f"{outcome.skipped:,}")
    rows("  rejected: {}", outcome.rejected)
    table.add_row(f"{outcome.kind} made of the others", f"{outcome.events:,}")
    table.add_row("  accepted", f"{outcome.accepted:,}")
    if outcome.already:
        table.add_row("  sent by an earlier run", f"{outcome.already:,}")
    rows("  refused: {}", outcome.refused)
    if outcome.repeated:
        table.add_row("  of these the same again, counted once", f"{outcome.repeated:,}")
    if outcome.conflicts:
        table.add_row("  of these others under an eventId that was there", f"{outcome.conflicts:,}")
    rows("attributes left out: {}", outcome.left_out)
    rows("{}", outcome.times)
    return table
