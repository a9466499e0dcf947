"""dbt without work of which nobody sees anything: a third of what a run costs it.

It makes and formats messages that no log takes, compiles the same templates in each run anew, and
prepares for the result of each query again what tells the types of its columns. Python looks
for garbage among all that dbt knows of the project, again and again, and finds little; once more
when the process ends.
"""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Iterable
from functools import cache, lru_cache
from types import CodeType
from typing import Any

import agate  # type: ignore[import-untyped]
from dbt.tracking import track_behavior_change_warn
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import MacroFuzzEnvironment
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager

_QUIET = (EventLevel.DEBUG, EventLevel.TEST)
_TRACKING = frozenset([track_behavior_change_warn])  # is about warnings
_OBJECTS = 100_000  # made before garbage is looked for; Python's own 700 are a fifth of a run
_fire = EventManager.fire_event
_compile = MacroFuzzEnvironment.compile
_build_type_tester = agate_helper.build_type_tester
_compiled: dict[tuple[type, str], CodeType] = {}


@cache
def make_lean() -> None:
    """Has dbt of this process leave that work."""
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)  # half a second of the end
    EventManager.fire_event = _fire_if_heard  # type: ignore[assignment, method-assign]
    MacroFuzzEnvironment.compile = _compile_once  # type: ignore[assignment, method-assign]
    agate_helper.build_type_tester = _type_tester  # type: ignore[assignment]


def _fire_if_heard(
    manager: EventManager,
    e: BaseEvent,
    level: EventLevel | None = None,
    *arguments: Any,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> None:
    if (level or e.level_tag()) in _QUIET and _TRACKING.issuperset(manager.callbacks):
        logs = (logger._python_logger for logger in manager.loggers)
        if not any(log and log.isEnabledFor(logging.DEBUG) for log in logs):
            return
    _fire(manager, e, level, *arguments, **options)


def _compile_once(
    environment: MacroFuzzEnvironment,
    source: Any,  # noqa: ANN401
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    if options or not isinstance(source, str):
        return _compile(environment, source, **options)
    key = type(environment), source
    if key not in _compiled:
        _compiled[key] = _compile(environment, source)
    return _compiled[key]


def _type_tester(
    text_columns: Iterable[str], string_null_values: Iterable[str] = ("null", "")
) -> agate.TypeTester:
    return _type_tester_of(tuple(text_columns), tuple(string_null_values))


@lru_cache
def _type_tester_of(*arguments: tuple[str, ...]) -> agate.TypeTester:
    return _build_type_tester(*arguments)
