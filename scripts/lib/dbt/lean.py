"""dbt without work of which nobody sees anything: a third of what a run costs it.

It formats messages that no log takes, compiles the same templates in each run anew, and prepares
for the result of each query again what tells the types of its columns. It asks each model and each
test for the schema that it is in, of which there are few, makes an object of each of 700 macros
whenever it renders one, by five calls, and looks for each in five places, and writes the whole
graph to files (target/graph*) that nothing reads. Python looks for garbage among all that dbt knows
of the project, again and again, and finds little; once more when the process ends.
"""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from types import CodeType
from typing import Any

import agate  # type: ignore[import-untyped]
from dbt.adapters.base.impl import BaseAdapter
from dbt.adapters.base.relation import BaseRelation
from dbt.adapters.contracts.relation import RelationConfig
from dbt.clients.jinja import MacroGenerator, MacroStack
from dbt.compilation import Compiler, Linker
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.contracts.graph.nodes import Macro
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
_get_cache_schemas = BaseAdapter._get_cache_schemas
_compiled: dict[tuple[type, str], CodeType] = {}


@cache
def make_lean() -> None:
    """Has dbt of this process leave that work."""
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)  # half a second of the end
    EventManager.fire_event = _fire_if_heard  # type: ignore[assignment, method-assign]
    MacroFuzzEnvironment.compile = _compile_once  # type: ignore[assignment, method-assign]
    agate_helper.build_type_tester = _type_tester  # type: ignore[assignment]
    BaseAdapter._get_cache_schemas = _schemas_of  # type: ignore[assignment, method-assign]
    MacroNamespaceBuilder.build_namespace = _namespace  # type: ignore[assignment, method-assign]
    Compiler.write_graph_file = _write_nothing  # type: ignore[assignment, method-assign]
    Linker.get_graph_summary = _no_summary  # type: ignore[assignment, method-assign]


def keep_for_good() -> None:
    """Has Python never look for garbage among what is there now."""
    gc.collect()
    gc.freeze()


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


def _schemas_of(adapter: BaseAdapter, configs: Iterable[RelationConfig]) -> set[BaseRelation]:
    one_of_each = {
        (each.database, each.schema, *each.quoting_dict.items()): each for each in configs
    }
    return _get_cache_schemas(adapter, one_of_each.values())


class _Macro(MacroGenerator):
    """A macro as a model sees it, made by one call and not by four."""

    def __init__(
        self, macro: Macro, context: dict[str, Any], node: object, stack: MacroStack
    ) -> None:
        self.macro, self.context, self.node, self.stack = macro, context, node, stack


class _Namespace(MacroNamespace):
    """The macros that a model sees, by their names in one place."""

    def __init__(self, *places: dict[str, Any]) -> None:
        super().__init__(*places)
        self._found: dict[str, Any] = {}
        for place in reversed(list(self._search_order())):
            self._found.update(place)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)


def _namespace(
    builder: MacroNamespaceBuilder,
    macros_by_package: dict[str, dict[str, Macro]],
    context: dict[str, Any],
) -> MacroNamespace:
    node, stack = builder.node, builder.thread_ctx
    made: dict[str, Any] = {
        package: {name: _Macro(macro, context, node, stack) for name, macro in macros.items()}
        for package, macros in macros_by_package.items()
    }
    internal: dict[str, Any] = {}
    for package in reversed(builder.internal_package_names_order):
        internal.update(made.pop(package, {}))
    root, local = builder.root_package, builder.search_package
    of_root = {} if root == local else made.get(root, {})
    return _Namespace(of_root, made.get(local, {}), internal, made)


def _write_nothing(*_: object) -> None:
    pass


def _no_summary(*_: object) -> dict[int, dict[str, Any]]:
    return {}


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
