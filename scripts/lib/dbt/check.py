"""Checks a change to dbt_project, for analysts: `scripts/check`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from collector.settings import ROOT
from scripts.lib.base.cli import parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.dbt.dev import check_schema
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lint_sql import SQLFLUFF
from scripts.lib.dbt.properties import unknown_keys
from scripts.lib.dbt.runner import KeepingRunner
from scripts.lib.dbt.seeds import problems
from scripts.lib.dbt.target import PROJECT, layer_schema
from scripts.lib.dbt.within import Dbt

BOUNCER = Path(sys.executable).with_name("dbt-bouncer")
DESCRIPTION = """Check a change to dbt_project in half a minute: the definitions in its seeds, the
keys of its YAML, that it parses without a deprecation, names and layers, the style of the SQL, and
the unit tests.

The unit tests need empty tables. They are built once, in schemas of their own (check_...), and
again where a model changed; the marts are not touched. Data tests are part of scripts/dbt build."""


@dataclass(frozen=True, slots=True)
class Project:
    """The project as dbt sees it, and a place for what was seen."""

    folder: Path
    database_url: str
    staging: str
    dbt: Dbt

    def parse(self) -> str:
        """Parses the project anew, so that every deprecation shows."""
        return self.dbt.run("parse", "--no-partial-parse", "--show-all-deprecations")

    def unit_tests(self) -> str:
        """Runs the unit tests, on empty tables built anew where a model changed."""
        state = self.folder / "state"
        build = ["build", "--empty", "--full-refresh"]
        build += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        if state.exists() and self._has_tables():
            build += ["--select", "state:modified+", "--state", str(state)]
        if output := self.dbt.run(*build):
            return output
        state.mkdir(exist_ok=True)
        shutil.copy(self.folder / "target" / "manifest.json", state)
        return self.dbt.run("test", "--select", "test_type:unit")

    def _has_tables(self) -> bool:
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute("select to_regnamespace(%s)", [self.staging])
            return found.fetchone() != (None,)


def check_names(folder: Path) -> str:
    """Names and layers, by dbt_project/dbt-bouncer.yml, on the manifest in `folder`."""
    # dbt-bouncer looks for the manifest beside its configuration.
    configuration = shutil.copy(PROJECT / "dbt-bouncer.yml", folder)
    return _output_of_failed(
        [BOUNCER, "run", "--show-all-failures", "--config-file", configuration], os.environ
    )


def check_style(folder: Path, files: Sequence[Path]) -> str:
    """Style of SQL files, by .sqlfluff."""
    # sqlfluff's own dbt parses too, with other variables: each keeps what it parsed.
    environment = {**os.environ, "DBT_TARGET_PATH": str(folder / "style")}
    return _output_of_failed([SQLFLUFF, "lint", "--disable-progress-bar", *files], environment)


def _output_of_failed(
    command: Sequence[str | Path], environment: os._Environ[str] | dict[str, str]
) -> str:
    finished = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return finished.stdout if finished.returncode else ""


def changed_sql(since: str) -> list[Path]:
    """The SQL files of models and tests that differ from the git revision `since`."""
    changed = ("git", "diff", "--name-only", "--diff-filter=d", "--no-renames", since, "--")
    untracked = ("git", "ls-files", "--others", "--exclude-standard", "--")
    folders = (PROJECT / "models", PROJECT / "tests")
    names: set[str] = set()
    for command in (changed, untracked):
        output = subprocess.check_output([*command, *folders], cwd=ROOT, text=True)
        names.update(output.splitlines())
    return sorted(ROOT / name for name in names if name.endswith(".sql"))


def checks(project: Project, sql: Sequence[Path]) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Yields the checks in order: what is checked, what to do when it fails, and the check."""
    yield (
        "seeds",
        "Correct the lines: dbt would build nonsense.",
        lambda: "\n".join(problems(PROJECT)),
    )
    yield (
        "YAML",
        "Correct the key: dbt would ignore it.",
        lambda: "\n".join(unknown_keys(PROJECT)),
    )
    yield "parse", "Nothing more can be checked before dbt can read the project.", project.parse
    yield (
        "names and layers",
        "The rules are in dbt_project/dbt-bouncer.yml, each with its reason.",
        lambda: check_names(project.folder),
    )
    if sql:
        yield (
            "SQL style",
            "`.venv/bin/sqlfluff fix FILE` mends most of it.",
            lambda: check_style(project.folder, sql),
        )
    yield (
        "unit tests",
        "Where actual differs from expected, the rule or the test is wrong.",
        project.unit_tests,
    )


def run_checks(project: Project, sql: Sequence[Path]) -> int:
    """Runs the checks one after the other, reports each, and returns how many failed."""
    failed = 0
    for name, remedy, check in checks(project, sql):
        started = time.monotonic()
        output = check()
        say(f"{'FAILED' if output else 'ok':6}  {name} ({time.monotonic() - started:.1f} s)")
        if output:
            failed += 1
            say(f"{output.strip()}\n-> {remedy}\n")
            if name == "parse":
                break
    return failed


def main() -> int:
    """`scripts/check`."""
    arguments = parser("check", DESCRIPTION)
    arguments.add_argument(
        "--all", action="store_true", help="the style of all SQL, changed or not"
    )
    arguments.add_argument(
        "--since", default="HEAD", help="git revision that SQL is changed against (%(default)s)"
    )
    options = arguments.parse_args()
    sql = [PROJECT / "models", PROJECT / "tests"] if options.all else changed_sql(options.since)
    settings = replace(read_settings(), dbt_target="dev", dbt_schema=check_schema())
    folder = settings.data_directory / "check"
    folder.mkdir(parents=True, exist_ok=True)
    with open_databases(settings) as databases:
        os.environ |= dbt_environment(settings, databases.destination) | {
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "PGAPPNAME": "headwater-check",
        }
        # The tables never hold a row, so staging may be rebuilt whole.
        dbt = Dbt(KeepingRunner(), reload_raw=True)
        staging = layer_schema(settings, "staging")
        failed = run_checks(Project(folder, databases.destination, staging, dbt), sql)
    say(f"check: {failed} failed" if failed else "check: ok")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
