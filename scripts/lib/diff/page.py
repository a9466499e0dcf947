"""The effects of a change as Markdown, for the terminal and for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scripts.lib.base.cli import printable
from scripts.lib.diff.comparison import Comparison
from scripts.lib.diff.effects import Definition, Effects, said

MOST_LINES = 40  # of a table; the rest is counted
_MOST_CHARACTERS = 80  # of a value


def page(found: Effects, title: str) -> str:
    """The page, sections without anything to say left out."""
    return "\n\n".join(["## " + title, *_sections(found)]) + "\n"


def _sections(found: Effects) -> Iterator[str]:
    if not found.built:
        yield "Nothing that is built differs."
        return
    yield f"Changed: {', '.join(found.changed) or 'only properties'}. Built: {found.built:,}."
    if found.definitions:
        yield "### Definitions"
        yield _list(list(_definitions(found.definitions)))
    yield "### Numbers of the report"
    numbers = [
        [_cell(", ".join(each.labels.values())), _cell(each.name), *_change(each.before, each.now),
         _cell(each.why)]
        for each in found.numbers
    ]  # fmt: skip
    yield _table(("of", "number", "before", "now", "why"), numbers) if numbers else "All the same."
    yield "### Rows of the marts"
    others = [mart for mart in found.marts if mart.has_other_rows]
    rows = [
        [_code(mart.name), *(f"{n:,}" for n in (mart.rows_before, mart.rows_now, mart.added,
         mart.removed, mart.changed)), _columns(mart)]
        for mart in others
    ]  # fmt: skip
    yield (
        _table(("mart", "before", "now", "added", "removed", "changed", "columns"), rows)
        if (rows)
        else "All the same."
    )
    schema = list(_schema(found))
    if schema:
        yield "### Columns and contracts"
        yield _list(schema)
    for mart in others:
        yield from _mart(mart)


def _definitions(found: Sequence[Definition]) -> Iterator[str]:
    """A line for each change, of several rows where it is the same in these."""
    rows: dict[tuple[str, str, str], int] = {}
    for each in found:
        line = (each.seed, each.value, said(each.row))
        rows[line] = rows.get(line, 0) + 1
    for (seed, value, text), number in rows.items():
        several = f" ({number} rows)" if number > 1 else ""
        yield f"{_code(seed)} {_code(value)}{several}: {_cell(text)}"


def _columns(mart: Comparison) -> str:
    if mart.twice:
        return f"**{mart.twice:,} keys are there more than once**, so rows cannot be compared"
    return ", ".join(f"{_code(name)} {rows:,}" for name, rows in mart.columns.items())


def _schema(found: Effects) -> Iterator[str]:
    yield from (f"{_code(name)} is new" for name in found.new)
    yield from (f"**breaks**: {_code(name)} is gone" for name in found.gone)
    for mart in found.marts:
        name = _code(mart.name)
        yield from (f"{name} has a new column {_code(each)}" for each in mart.new_columns)
        yield from (f"**breaks**: {name} has lost {_code(each)}" for each in mart.gone_columns)
        for column, (before, now) in mart.retyped.items():
            yield f"**breaks**: {name}.{_code(column)} is {now} and was {before}"


def _mart(mart: Comparison) -> Iterator[str]:
    moves = [
        f"{_code(name)} {_cell(move.before or 'none')} → {_cell(move.now or 'none')}: {move.rows:,}"
        for name, found in mart.moves.items()
        for move in found
    ]
    examples = [
        [_cell(", ".join(row.label)), row.what,
         ", ".join(f"{name} {' → '.join(_change(*pair))}" for name, pair in row.values.items())
         if row.what == "changed" else ""]
        for row in mart.examples
    ]  # fmt: skip
    if moves or examples:
        yield f"### {_code(mart.name)}"
    if moves:
        yield _list(moves)
    if examples:
        yield _table((", ".join(mart.label), "", "for example"), examples)


def _change(before: str | None, now: str | None) -> tuple[str, str]:
    return _cell(before or "none"), _cell(now or "none")


def _cell(text: str) -> str:
    """A text that means nothing to Markdown, on one line."""
    short = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
    escaped = "".join(f"\\{each}" if each in "\\`*<>[]|" else each for each in short)
    return printable(" ".join(escaped.split()))


def _code(text: str) -> str:
    return f"`{printable(text).replace('`', '')}`"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in _bounded(lines))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    shown = _bounded(lines)
    more = [] if len(shown) <= MOST_LINES else [f"\n{shown.pop()}"]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *shown, *more])


def _bounded(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"and {more:,} more"] if more > 0 else list(lines)
