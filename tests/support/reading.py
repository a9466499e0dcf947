"""Reads small histories as `scripts/replay` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import BadRow, FileOptions

HEADER = ["id", "kind", "at", "note"]


def read(path: Path, **options: Any) -> list[dict[str, Any] | str]:  # noqa: ANN401
    """The records of a file: what they say, or why they are malformed."""
    history = History([path], FileOptions(**options))
    found: list[dict[str, Any] | str] = []
    for _, block in history.blocks():
        for place, row in zip(block.places, block.rows, strict=True):
            assert not isinstance(row, bytes)
            found.append(f"{place}: {row.message}" if isinstance(row, BadRow) else row)
    return [*found, *history.broken]


def write(folder: Path, content: str | bytes, name: str = "history.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(count: int, bad: dict[int, str]) -> str:
    """Rows of a log with cells of any kind; `bad` ones stand in for some."""
    rows = [f"q-{n},view,2026-01-01T00:00:00Z,note {n}" for n in range(1, count + 1)]
    return "\n".join([",".join(HEADER), *(bad.get(n, row) for n, row in enumerate(rows, 1))]) + "\n"
