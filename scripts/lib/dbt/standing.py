"""Views that are as the newest run left them: a run that is told so passes over them.

A view has no rows of its own that could be new, and costs dbt as much as a table. `look` tells.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from dbt.adapters.factory import get_adapter
from dbt.artifacts.resources.types import NodeType
from dbt.runners.no_op_runner import NoOpRunner
from dbt.task.base import BaseRunner
from dbt.task.build import BuildTask
from dbt.task.run import RunTask

from scripts.lib.dbt.target import VIEWS_STAND


class _StandingView(NoOpRunner):
    @property
    def description(self) -> str:
        return f"view model {self.node.relation_name}, which is as it was"


def pass_over() -> None:
    """Has dbt of this process leave views alone where the environment says that they stand."""
    for task in (RunTask, BuildTask):
        if task.get_runner_type.__module__ != __name__:
            passing_over = _passing_over(task.get_runner_type)
            task.get_runner_type = passing_over  # type: ignore[assignment, method-assign]


def _passing_over(
    get_runner_type: Callable[[Any, Any], type[BaseRunner] | None],
) -> Callable[[Any, Any], type[BaseRunner] | None]:
    def runner_type(task: RunTask, node: Any) -> type[BaseRunner] | None:  # noqa: ANN401
        if os.environ.get(VIEWS_STAND) and _stands(task, node):
            return _StandingView
        return get_runner_type(task, node)

    return runner_type


def _stands(task: RunTask, node: Any) -> bool:  # noqa: ANN401
    """Whether it is a view, and there: one below which a table was made anew is gone."""
    if node.resource_type != NodeType.Model or node.config.materialized != "view":
        return False
    known = get_adapter(task.config).cache.get_relations(node.database, node.schema)
    return any(relation.identifier == node.alias and relation.is_view for relation in known)
