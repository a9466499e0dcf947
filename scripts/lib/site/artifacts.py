"""Reads what dbt left of its last run: the results of models and tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COMMANDS = {"build", "run", "test", "seed", "retry"}
_BAD = {"error", "fail", "runtime error", "partial success"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A test that failed, or a model or test that could not run."""

    kind: str
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of dbt. Counts are by status; times are seconds; `results` are by node."""

    command: str
    seconds: float
    tests: dict[str, int]
    models: dict[str, int]
    problems: list[Problem]
    slowest: list[tuple[str, float]]
    results: dict[str, str]

    @property
    def failed(self) -> int:
        """How many tests and models failed."""
        return sum(problem.status != "warn" for problem in self.problems)


def read_last_run(target: Path, invocation_ids: set[str]) -> LastRun | None:
    """The run whose artifacts are in the folder `target`, if it is one of `invocation_ids`.

    None where dbt left none, where its last command built and tested nothing, or where it was
    about another database.
    """
    results = _read(target / "run_results.json")
    if results is None or results["args"].get("which") not in _COMMANDS:
        return None
    if results["metadata"]["invocation_id"] not in invocation_ids:
        return None
    tests: dict[str, int] = {}
    models: dict[str, int] = {}
    problems = []
    for result in results["results"]:
        if result["status"] == "no-op":  # exposures, and views that are as they were
            continue
        kind, _, name = result["unique_id"].split(".")[:3]
        counts = tests if kind in ("test", "unit_test") else models
        counts[result["status"]] = counts.get(result["status"], 0) + 1
        if result["status"] in _BAD or result["status"] == "warn":
            # The first line only: the next ones may quote values of the data.
            message = str(result["message"] or "").strip().partition("\n")[0]
            problems.append(Problem(kind.replace("_", " "), name, result["status"], message))
    built = [result for result in results["results"] if result["unique_id"].startswith("model.")]
    built.sort(key=lambda result: float(result["execution_time"]), reverse=True)
    return LastRun(
        command=f"dbt {results['args']['which']}",
        seconds=results["elapsed_time"],
        tests=tests,
        models=models,
        problems=problems,
        slowest=[(r["unique_id"].split(".")[2], float(r["execution_time"])) for r in built[:10]],
        results={result["unique_id"]: result["status"] for result in results["results"]},
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        artifact: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # dbt may be in the middle of writing it
        return None
    return artifact
