"""dbt within a command's own process: quiet, and parsed once for all that is asked of it."""

from __future__ import annotations

import json
from typing import Any

from scripts.lib.dbt.runner import KeepingRunner

# A change may concern no model.
_WARNINGS = (
    "--warn-error-options",
    "{error: all, silence: [NoNodesForSelectionCriteria, NothingToDo]}",
)


class Dbt:
    """dbt in the environment of this process, given `variables` in each run."""

    def __init__(self, runner: KeepingRunner, **variables: object) -> None:
        self._runner = runner
        self._variables = variables

    def run(self, *arguments: str, **variables: object) -> str:
        """Runs dbt and returns what it complained of where it failed, else an empty text."""
        said: list[str] = []

        def listen(event: Any) -> None:  # noqa: ANN401  a message made at run time
            if event.info.level in ("warn", "error"):
                said.append(event.info.msg)

        given = ("--vars", json.dumps({**self._variables, **variables}))
        result = self._runner.invoke(
            ["--no-use-colors", "--log-level", "none", *_WARNINGS, *arguments, *given], [listen]
        )
        if isinstance(result.exception, KeyboardInterrupt | SystemExit):
            raise result.exception
        if result.success:
            return ""
        return "\n".join(said) or str(result.exception or "dbt failed")
