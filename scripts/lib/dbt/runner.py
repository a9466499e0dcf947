"""dbt within this process: what it parsed is kept for the runs that follow."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import stat
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from click import Context, UsageError
from dbt.cli.main import cli, dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import write_manifest
from dbt.task import runnable

from scripts.lib.dbt.connections import keep_connections
from scripts.lib.dbt.lean import keep_for_good, make_lean
from scripts.lib.dbt.mended import mend
from scripts.lib.dbt.standing import pass_over

# What the names in a manifest depend on, see profiles.yml.example.
_NAMED_BY = ("DBT_TARGET", "DBT_SCHEMA", "PGDATABASE", "USER")
_UNREAD = {"target", "logs"}
# Of a manifest, what its own `deepcopy` copies, in a third of the time.
_PARTS = (
    "nodes", "sources", "macros", "docs", "exposures", "functions", "metrics", "groups",
    "selectors", "metadata", "disabled", "files", "state_check", "semantic_models", "unit_tests",
    "saved_queries", "flat_graph",
)  # fmt: skip

Files = frozenset[tuple[str, int, int]]


class KeepingRunner:
    """dbt's own runner, which parses a project once, and again where that is to be done anew.

    That is where a file of the project, a variable or the target differs. A process of its own
    spends five seconds of CPU on its imports and on reading what was parsed, before it does
    anything; this one a tenth of a second. `late` are variables that no configuration reads, so
    that the project is as it was whatever they are.
    """

    def __init__(self, late: Collection[str] = ()) -> None:
        mend()
        pass_over()
        make_lean()
        keep_connections()
        runnable.write_manifest = _write_missing  # type: ignore[attr-defined, assignment]
        self._late = late
        self._parsed: dict[tuple[object, ...], tuple[Files, bytes]] = {}

    def invoke(
        self, arguments: Sequence[str], callbacks: Sequence[Callable[[Any], None]] = ()
    ) -> dbtRunnerResult:
        """Runs dbt with `arguments` in the environment of this process and returns how it ended.

        Takes over what `dbtRunner` does, output and `callbacks` included. Not for two threads.
        """
        # dbt's own deprecations are no faults of the project.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._invoke(list(arguments), list(callbacks))

    def _invoke(
        self, arguments: list[str], callbacks: list[Callable[[Any], None]]
    ) -> dbtRunnerResult:
        try:
            _, command, _ = cli.make_parser(Context(cli)).parse_args(arguments.copy())
        except UsageError:
            command = []
        verb = command[0] if command else None
        if verb not in cli.commands or (verb != "parse" and "--no-partial-parse" in arguments):
            return dbtRunner(callbacks=callbacks).invoke(arguments)
        folder, options = _project_options(arguments, self._late)
        # The folder itself is no part of it: a copy of a project is parsed as the project was.
        key = (*options, *(os.environ.get(name) for name in _NAMED_BY))
        files = _files(folder)
        known, pickled = self._parsed.get(key, (None, b""))
        if verb == "parse" or known != files:
            parse = arguments
            if verb != "parse":
                before = arguments[: len(arguments) - len(command)]
                parse = [*before, "parse", "--project-dir", str(folder), *options]
            parsed = dbtRunner(callbacks=callbacks).invoke(parse)
            if not isinstance(parsed.result, Manifest):
                return parsed
            pickled = pickle.dumps({name: getattr(parsed.result, name) for name in _PARTS})
            self._parsed[key] = (files, pickled)
            if verb == "parse":
                return parsed
            del parsed
            keep_for_good()
        # A run leaves its marks: ephemeral models stay compiled and are missing in the next one.
        copy = Manifest(**pickle.loads(pickled))  # noqa: S301  dumped above
        return dbtRunner(copy, callbacks).invoke(arguments)


def _write_missing(manifest: Manifest, folder: str) -> None:
    """What was parsed was written then: a tenth of a run goes into writing it again."""
    if not (Path(folder) / "manifest.json").exists():
        write_manifest(manifest, folder)


def _project_options(
    arguments: Sequence[str], late: Collection[str]
) -> tuple[Path, tuple[str, ...]]:
    """The folder of the project, and the further options that decide what is parsed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--project-dir", default=os.environ.get("DBT_PROJECT_DIR", "."))
    for option in (("--vars",), ("--target", "-t"), ("--profile",), ("--profiles-dir",)):
        parser.add_argument(*option)
    found, _ = parser.parse_known_args(arguments)
    named = vars(found)
    folder = Path(named.pop("project_dir"))
    if late and named["vars"]:
        variables = yaml.safe_load(named["vars"])
        named["vars"] = json.dumps({k: v for k, v in variables.items() if k not in late})
    given = ((f"--{name.replace('_', '-')}", value) for name, value in named.items() if value)
    return folder, tuple(word for option in given for word in option)


def _files(folder: Path) -> Files:
    """Name, time of change and size of each file that dbt may parse."""
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] not in _UNREAD:
            with suppress(FileNotFoundError):  # an editor's, gone by now
                state = path.stat()
                if stat.S_ISREG(state.st_mode):
                    found.add((str(name), state.st_mtime_ns, state.st_size))
    return frozenset(found)
