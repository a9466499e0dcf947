"""Looks at the beginning of a history before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.mapping.rules import RowMapping
from scripts.lib.replay.mapping.values import cell
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import Row


def check_columns(rules: RowMapping, history: History, records: Sequence[Row]) -> None:
    """Raises MappingError where the mapping names what the history does not have."""
    rows = [row for row in records if isinstance(row, dict)]
    if history.columns is not None:
        heads = set(history.columns)
        wrong = rules.missing(
            history.columns, lambda name: name in heads or name.partition(".")[0] in heads
        )
    elif rows:
        paths = list(dict.fromkeys(path for row in rows[:200] for path in _paths(row)))
        known = set(paths)
        for row in rows[200:]:
            known.update(row)
        wrong = rules.missing(
            paths, lambda name: name in known or any(_is_there(row, name) for row in rows)
        )
    else:
        return
    if wrong:
        files = ", ".join(path.name for path in history.files[:3])
        raise MappingError(
            f"{files}: {wrong}. Where it is there in later rows only: optional: true"
        )


def _is_there(row: dict[str, Any], path: str) -> bool:
    if cell(row, path) is not None:
        return True
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _paths(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        yield prefix + name
        if isinstance(value, dict) and prefix.count(".") < 3:
            yield from _paths(value, f"{prefix}{name}.")


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
