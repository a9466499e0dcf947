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
from typing import TYPE_CHECKING

from collector.connection import open_connection
from collector.settings import ROOT
from scripts.lib.base.cli import UserError, parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.dev import check_schema
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lint_sql import SQLFLUFF
from scripts.lib.dbt.seeds import problems
from scripts.lib.dbt.target import PROJECT, layer_schema

if TYPE_CHECKING:
    from scripts.lib.dbt.within import Dbt

BOUNCER = Path(sys.executable).with_name("dbt-bouncer")
DESCRIPTION = """Check a change to dbt_project in half a minute: the definitions in its seeds, the
keys of its YAML, that it parses without a deprecation, names and layers, the style of the SQL, and
the unit tests.

The unit tests need empty tables. They are built once, in schemas of their own (check_...), and
again where a model changed, whose tests alone are run then; the marts are not touched. Data tests
are part of scripts/dbt build."""


@dataclass(frozen=True, slots=True)
class Project:
    """The project as dbt sees it, and a place for what was seen."""

    folder: Path
    database_url: str
    staging: str
    dbt: Dbt
    is_whole: bool

    def parse(self) -> str:
        """Parses the project anew, so that every deprecation shows."""
        return self.dbt.run("parse", "--no-partial-parse", "--show-all-deprecations")

    def unit_tests(self) -> str:
        """Runs the unit tests of what changed, on empty tables built anew where a model did."""
        built, passed = self.folder / "built", self.folder / "passed"
        if not self._has_tables():
            shutil.rmtree(built, ignore_errors=True)
            shutil.rmtree(passed, ignore_errors=True)
        build = ["build", "--empty", "--full-refresh"]
        build += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        if built.exists():
            build += ["--select", "state:modified+", "--state", str(built)]
        if output := self.dbt.run(*build):
            return output
        self._note(built)
        test = ["test", "--select", "test_type:unit"]
        if passed.exists() and not self.is_whole:
            test = ["test", "--select", "state:modified+,test_type:unit", "--state", str(passed)]
        if output := self.dbt.run(*test):
            return output
        self._note(passed)
        return ""

    def _note(self, state: Path) -> None:
        """Notes that the project as it is now is built, or passed."""
        state.mkdir(exist_ok=True)
        shutil.copy(self.folder / "target" / "manifest.json", state)

    def _has_tables(self) -> bool:
        with open_connection(self.database_url) as connection:
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
    """The SQL files of models and tests that differ from the git revision `since`.

    Raises UserError where git does not know that.
    """
    changed = ("git", "diff", "-z", "--name-only", "--diff-filter=d", "--no-renames")
    untracked = ("git", "ls-files", "-z", "--others", "--exclude-standard")
    folders = ("--", PROJECT / "models", PROJECT / "tests")
    names: set[str] = set()
    for command in ((*changed, "--end-of-options", since), untracked):
        found = subprocess.run(
            [*command, *folders], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise UserError(f"git: {found.stderr.strip().splitlines()[0]}; see --since and --all")
        names.update(found.stdout.split("\0"))
    return sorted(ROOT / name for name in names if name.endswith(".sql"))


def checks(
    settings: Settings, sql: Sequence[Path], *, is_whole: bool
) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Yields the checks in order: what is checked, what to do when it fails, and the check.

    Seeds come first and at once: neither dbt nor a database is needed for them.
    """
    yield (
        "seeds",
        "Correct the lines: dbt would build nonsense.",
        lambda: "\n".join(problems(PROJECT)),
    )
    # All that is dbt's takes seconds to import.
    from scripts.lib.dbt.properties import unknown_keys  # noqa: PLC0415

    yield (
        "YAML",
        "Correct the key: dbt would ignore it.",
        lambda: "\n".join(unknown_keys(PROJECT)),
    )
    with open_databases(settings) as databases:
        project = _enter(settings, databases.destination, is_whole=is_whole)
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


def _enter(settings: Settings, database_url: str, *, is_whole: bool) -> Project:
    """Has dbt of this process work on the project in schemas and folders of the checks' own."""
    from scripts.lib.dbt.runner import KeepingRunner  # noqa: PLC0415
    from scripts.lib.dbt.within import Dbt  # noqa: PLC0415

    folder = settings.data_directory / "check"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= dbt_environment(settings, database_url) | {
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "PGAPPNAME": "headwater-check",
    }
    # The tables never hold a row, so staging may be rebuilt whole.
    dbt = Dbt(KeepingRunner(), reload_raw=True)
    return Project(folder, database_url, layer_schema(settings, "staging"), dbt, is_whole)


def run_checks(checks: Iterator[tuple[str, str, Callable[[], str]]]) -> int:
    """Runs the checks one after the other, reports each, and returns how many failed."""
    failed = 0
    for name, remedy, check in checks:
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
        "--all", action="store_true", help="style and unit tests of all SQL, changed or not"
    )
    arguments.add_argument(
        "--since", default="HEAD", help="git revision that SQL is changed against (%(default)s)"
    )
    options = arguments.parse_args()
    sql = [PROJECT / "models", PROJECT / "tests"] if options.all else changed_sql(options.since)
    settings = replace(read_settings(), dbt_target="dev", dbt_schema=check_schema())
    failed = run_checks(checks(settings, sql, is_whole=options.all))
    say(f"check: {failed} failed" if failed else "check: ok")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
