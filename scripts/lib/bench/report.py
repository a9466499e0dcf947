"""How measurements are shown: one screen, JSON and a Markdown table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from scripts.lib.bench.measure import Row, Sample

BEGIN, END = "<!-- begin: scripts/bench --docs -->", "<!-- end: scripts/bench --docs -->"
HEADERS = ("work", "ours", "peer or limit", "ratio", "target", "reached")


@dataclass(slots=True)
class Report:
    """All rows measured so far and the machine of the last run, as they stand in the JSON file."""

    facts: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def replace(self, measurement: str, rows: Sequence[Row], order: Sequence[str]) -> None:
        """Puts the rows of a measurement in the place of its old ones."""
        kept = [row for row in self.rows if row.measurement != measurement]
        self.rows = sorted([*kept, *rows], key=lambda row: order.index(row.measurement))


def load(path: Path) -> Report:
    """The report of an earlier run; an empty one where there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Report) if path.exists() else Report()


def save(path: Path, report: Report) -> None:
    """Writes the report as JSON, with each row's ratio and whether it reached its goal."""
    document = msgspec.to_builtins(report)
    for row, built in zip(report.rows, document["rows"], strict=True):
        built |= {"ratio": row.ratio, "reached": row.reached}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def cells(row: Row) -> tuple[str, ...]:
    """The row as text, in the order of HEADERS."""
    if row.ours is None:
        return (row.work, "not measured", row.missing, "", str(row.goal or ""), "")
    reached = {True: "yes", False: "no", None: ""}[row.reached]
    beside = _value(row.other) if row.other else row.missing
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return (row.work, _value(row.ours), beside, ratio, str(row.goal or ""), reached)


def show(
    report: Report, rows: Sequence[Row], console: Console, *, with_detail: bool = False
) -> None:
    """Prints the rows as one screen, and with their detail as more than one."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in HEADERS:
        table.add_column(header, justify="right" if header == "ratio" else "left")
    for row in rows:
        style = {True: "green", False: "red", None: ""}[row.reached]
        *texts, reached = map(escape, cells(row))
        table.add_row(*texts, f"[{style}]{reached}[/]" if style else reached)
    notes = dict.fromkeys(row.note for row in rows if row.note)
    facts = ", ".join(f"{name} {value}" for name, value in report.facts.items())
    parts: list[RenderableType] = [escape(facts), "", table, "", *(escape(note) for note in notes)]
    if any(row.is_quick for row in rows):
        parts.append("--quick: one short run each, a tenth of the events. Not for comparison.")
    console.print(Group(*parts))
    for row in rows if with_detail else ():
        if row.detail:
            console.print(_detail(row))


def _detail(row: Row) -> Table:
    """What a row is made of: of two figures the first is of the smaller history."""
    table = Table("", box=None, title=escape(row.work), title_justify="left")
    width = max(len(values) for values in row.detail.values())
    for title in (*(str(number) for number in range(1, width + 1)), "last / first"):
        table.add_column(title, justify="right")
    for name, values in row.detail.items():
        ratio = f"{values[-1] / values[0]:.2f}" if values[0] else ""
        table.add_row(escape(name), *(f"{value:,.2f}" for value in values), ratio)
    return table


def markdown(report: Report) -> str:
    """The table for docs/benchmarks.md."""
    lines = [f"| {' | '.join(HEADERS)} |", "|---|---|---|--:|---|---|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in report.rows]
    notes = dict.fromkeys(row.note for row in report.rows if row.note)
    facts = "; ".join(f"{name}: {value}" for name, value in report.facts.items())
    quick = ["Short runs (`--quick`), not for comparison.", ""] if _quick(report.rows) else []
    return "\n".join([*quick, *lines, "", *(f"- {note}" for note in notes), "", f"{facts}."])


def write_docs(page: Path, report: Report) -> None:
    """Fills the generated block of the page."""
    text = page.read_text()
    block = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    content = f"{BEGIN}\n\n{markdown(report)}\n\n{END}"
    page.write_text(block.sub(lambda _: content, text))


def _value(sample: Sample) -> str:
    low, high = min(sample.values), max(sample.values)
    spread = f" ({_number(low)} to {_number(high)})" if len(sample.values) > 1 else ""
    return f"{_number(sample.median)} {sample.unit}{spread}, {sample.of}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _quick(rows: Sequence[Row]) -> bool:
    return any(row.is_quick for row in rows)
