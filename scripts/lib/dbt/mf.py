"""Answers in metrics: `scripts/mf` runs MetricFlow on the destination database."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from scripts.lib.base.cli import UserError, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.run import run_dbt
from scripts.lib.dbt.target import PROJECT, read_target

# `mf` without its look on the package index for a newer version.
PROGRAM = """
from dbt_metricflow.cli.main import UpdateChecker, cli
UpdateChecker.check = lambda *_: None
cli(prog_name="scripts/mf")
"""
USAGE = """usage: scripts/mf ARGUMENTS OF METRICFLOW

Ask for metrics, which dbt_project/models/_semantic_models.yml defines.
Examples: scripts/mf list metrics
          scripts/mf query --metrics conversion_rate --group-by metric_time__week
          scripts/mf query --metrics completion_rate,cycle_time --group-by task__task_type
          scripts/mf query --help   for MetricFlow's own help

The marts have to be built (scripts/dbt build). --csv FILE is relative to the folder you are in."""


def main() -> int:
    """`scripts/mf`: every argument but --help goes to MetricFlow."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        say(USAGE)
        return 0 if arguments else 2
    if not importlib.util.find_spec("dbt_metricflow"):
        raise UserError(
            "MetricFlow is not installed: it is the optional extra `semantic`. "
            "Run .venv/bin/pip install 'dbt-metricflow==0.15.*'"
        )
    settings = read_target()
    with open_databases(settings) as databases:
        url = databases.destination
        output: list[str] = []
        # MetricFlow reads what dbt last parsed.
        status = run_dbt(["parse"], settings, url, say=output.append, on_line=output.append)
        if status:
            raise UserError("dbt parse failed:\n" + "\n".join(output[-20:]))
        return subprocess.call(
            [sys.executable, "-P", "-c", PROGRAM, *_with_absolute_csv(arguments)],
            env=dbt_environment(settings, url),
            cwd=PROJECT,
        )


def _with_absolute_csv(arguments: list[str]) -> list[str]:
    """The arguments with the file of --csv where the caller means it: MetricFlow runs elsewhere."""
    found = list(arguments)
    for index, argument in enumerate(arguments):
        if index and arguments[index - 1] == "--csv":
            found[index] = os.path.abspath(argument)
        elif argument.startswith("--csv="):
            found[index] = f"--csv={os.path.abspath(argument.removeprefix('--csv='))}"
    return found


if __name__ == "__main__":
    run(main)
