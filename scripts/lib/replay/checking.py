"""Looks at the beginning of a history before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.mapping.rules import ROW_COLUMNS, RowMapping
from scripts.lib.replay.mapping.values import cell
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import Row


def check_columns(rules: RowMapping, history: History, records: Sequence[Row]) -> list[str]:
    """Raises MappingError where the mapping names what a table, or no record, has.

    Returns what is worth saying: which of its columns are there, and empty in all these records.
    """
    tables = list(history.heads())
    wrong = [(name, rules.missing(columns, _in_table(columns))) for name, columns in tables]
    rows = [row for row in records if isinstance(row, dict)]
    if rows and not tables:
        paths = list(dict.fromkeys(path for row in rows[:200] for path in paths_of(row)))
        known = set(paths).union(*rows[200:])
        has = lambda path: path in known or any(_is_there(row, path) for row in rows)  # noqa: E731
        wrong.append((history.files[0].name, rules.missing(paths, has)))
    for name, reason in wrong:
        if reason:
            raise MappingError(
                f"{name}: {reason}. Where it is there in later rows only: optional: true"
            )
    return [
        f"{' and '.join(sorted(group))}: there, but empty in the first {len(rows):,} rows."
        for group in dict.fromkeys(rules.columns)
        if rows and group.isdisjoint(ROW_COLUMNS)
        if all(cell(row, path) is None for path in group for row in rows)
    ]


def _in_table(columns: Sequence[str]) -> Callable[[str], bool]:
    heads = set(columns)
    return lambda path: path in heads or path.partition(".")[0] in heads


def _is_there(row: dict[str, Any], path: str) -> bool:
    if cell(row, path) is not None:
        return True
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def paths_of(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of what a record has, nested ones too."""
    for name, value in row.items():
        yield prefix + name
        if isinstance(value, dict) and prefix.count(".") < 3:
            yield from paths_of(value, f"{prefix}{name}.")


def unsupported_text(types: Sequence[str]) -> str:
    """What to do about event types that the collector does not support."""
    rows = "\n".join(
        f"  {name},product,true,{name.replace('_', ' ').capitalize()}" for name in types
    )
    return (
        f"the collector does not support these event types yet: {', '.join(types)}. Nothing is "
        f"sent. Add them to dbt_project/seeds/event_types.csv:\n{rows}\n"
        "and what is planned of their attributes to event_properties.csv, start the collector "
        "again, and give this command again. Or leave them out with --skip-unsupported."
    )
