"""The counts of each trial, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from statistics import median

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from tests.faults.ledger import Ledger

TABLE = pytest.StashKey[str]()  # as text, for the end of the output
COLUMNS = (
    *("fault", "times", "sent", "acked", "acked/s", "in raw", "in marts", "lost", "doubled"),
    *("sent again", "recovery s (median)", "(max)"),
)


@dataclass(slots=True)
class Outcome:
    """The counts of one trial; rates are events a second, times seconds."""

    fault: str
    times: int
    sent: int
    acknowledged: int
    rate: float
    in_raw: int
    copies: int  # rows beyond one an event: those sent again after a commit without an answer
    lost: int
    recoveries: list[float]
    in_marts: int | None = None  # None: not yet built
    doubled: int | None = None

    def cells(self) -> list[str]:
        """The row of the table."""
        counts = (self.times, self.sent, self.acknowledged, round(self.rate), self.in_raw)
        results = (self.in_marts, self.lost, self.doubled, self.copies)
        return [
            self.fault,
            *("?" if count is None else f"{count:,}" for count in counts + results),
            *(f"{value:.2f}" for value in (median(self.recoveries), max(self.recoveries))),
        ]


def table_of(outcomes: list[Outcome], seed: str) -> str:
    """The table of faults, as text."""
    table = Table(title=f"Faults under load (HEADWATER_FAULT_SEED={seed})", box=box.MARKDOWN)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "fault" else "right")
    for outcome in outcomes:
        table.add_row(*outcome.cells())
    text = StringIO()
    Console(file=text, width=200).print(table)
    return text.getvalue()


class Summary:
    """What the trials came to."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.outcomes: list[Outcome] = []
        self.ledgers: list[Ledger] = []

    def add(self, outcome: Outcome, ledger: Ledger) -> None:
        """Takes in what one trial came to."""
        self.outcomes.append(outcome)
        self.ledgers.append(ledger)

    def table(self) -> str:
        """The table of faults, as text."""
        return table_of(self.outcomes, self.seed)
