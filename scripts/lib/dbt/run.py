"""Runs dbt on the destination, one writing run at a time: `scripts/dbt`."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import psycopg

from collector.settings import ROOT
from scripts.lib.base.cli import UserError, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.dev import drop_dev, reading_prod
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lock import (
    CANCEL_SECONDS,
    end_backends,
    end_backends_when_told,
    run_name,
    writing_lock,
)
from scripts.lib.dbt.look import Look, look
from scripts.lib.dbt.seeds import require_sound_seeds
from scripts.lib.dbt.target import VIEWS_STAND, project_folder, read_target, target_schema

# By its path, and not beside this module, which has the name of dbt's package.
PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("program.py")))
_tell = partial(say, to=sys.stderr)  # standard output is dbt's
WRITING = {"build", "clone", "retry", "run", "run-operation", "seed", "snapshot", "test"}
READ_NAME = "headwater-dbt-read"
MAX_PAUSE_SECONDS = 86_400
NOTHING_NEW = "had nothing new"
LOOK_SECONDS = 0.2  # between two looks, at least
AFTER_SECONDS = 300  # while nothing is new: what is told of may come with time alone
USAGE = """usage: scripts/dbt [--every SECONDS] [--force] ARGUMENTS OF DBT

Run dbt on the destination database (DESTINATION_DATABASE_URL, DATABASE_URL or the embedded
PostgreSQL) with the project's profile. Commands that write into one target wait for each other.
What is wrong with the definitions (dbt_project/seeds) is said before dbt starts, line by line.
A build or run that would change nothing says so in one line and is not run, but with --force.
With --every the command is run again and again in one process, SECONDS apart, which spares each run
dbt's start.
Examples: scripts/dbt build
          scripts/dbt build --select +dim_users
          scripts/dbt show --inline 'select count(*) from {{ ref("fct_events") }}'
          scripts/dbt --every 60 build
          DBT_TARGET=dev scripts/dbt clone      views of prod in schemas of your own
          DBT_TARGET=dev scripts/dbt build --select state:modified+
          scripts/dbt drop-dev                  drops the schemas of your own
          scripts/dbt as-of 2026-03-31          the marts as they were known at the end of a day
          scripts/dbt build --help   for dbt's own help"""


def run_dbt(  # noqa: PLR0913
    arguments: Sequence[str],
    settings: Settings,
    database_url: str,
    *,
    say: Callable[[str], None],
    on_line: Callable[[str], None] | None = None,
    force: bool = False,
) -> int:
    """Runs dbt with `arguments` on `database_url` and returns its exit status.

    A command that writes is refused where definitions are not sound (UserError). It first gets the
    lock, waiting where another holds it, and ends what a killed run left behind. `say` gets what is
    to be known about that; `on_line` gets dbt's output line by line, which otherwise goes where
    this process's does.
    """
    environment = dbt_environment(settings, database_url)
    environment |= reading_prod(arguments, settings, database_url, environment)
    if not WRITING.intersection(arguments):
        return _run(arguments, environment | {"PGAPPNAME": READ_NAME}, (), on_line)
    require_sound_seeds(project_folder(arguments, environment))
    schema = target_schema(arguments, settings)
    with writing_lock(database_url, say, schema) as descriptor:
        asked = look(arguments, environment, database_url, schema)
        if asked and (line := asked.nothing_new()) and not force:
            say(line)
            return 0
        named = environment | {"PGAPPNAME": run_name(schema)} | _known(asked, force=force)
        end = partial(end_backends, database_url, schema)
        status = _run(arguments, named, (descriptor,), on_line, end)
        if asked and not status:
            asked.keep()
        return status


def run_dbt_locked(
    arguments: Sequence[str],
    settings: Settings,
    database_url: str,
    descriptor: int,
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Runs a writing command of dbt whose lock the connection of `descriptor` holds."""
    schema = target_schema(arguments, settings)
    environment = dbt_environment(settings, database_url) | {"PGAPPNAME": run_name(schema)}
    end = partial(end_backends, database_url, schema)
    return _run(arguments, environment, (descriptor,), on_line, end)


def repeat_dbt(  # noqa: PLR0913
    arguments: Sequence[str],
    settings: Settings,
    database_url: str,
    pause: float,
    *,
    force: bool = False,
    after: Callable[[], None],
) -> NoReturn:
    """Runs dbt again and again in this process, `pause` seconds apart, until it is told to end.

    `after` follows each run that succeeded, and those that had nothing new now and then.

    Saves what a process of its own costs each run: its start, dbt's imports and reading what was
    parsed. A line after each run says how it went.
    """
    schema = target_schema(arguments, settings)
    environment = dbt_environment(settings, database_url) | {"PGAPPNAME": run_name(schema)}
    os.environ.update(environment)
    os.environ.update(reading_prod(arguments, settings, database_url, environment))
    told = end_backends_when_told(database_url, schema)
    # Takes a second, and reads the environment.
    from scripts.lib.dbt.runner import KeepingRunner  # noqa: PLC0415

    runner = KeepingRunner()
    told_at = -math.inf
    for number in itertools.count(1):
        started = time.monotonic()
        outcome = "failed"
        try:
            with writing_lock(database_url, _tell, schema):
                asked = look(arguments, os.environ, database_url, schema)
                if asked and asked.nothing_new() and not force:
                    outcome = NOTHING_NEW
                else:
                    require_sound_seeds(project_folder(arguments, os.environ))
                    os.environ.update(_known(asked, force=force))
                    result = runner.invoke(arguments)
                    if result.exception:
                        _tell(f"dbt: {result.exception}")
                    if result.success:
                        outcome = "succeeded"
                        if asked:
                            asked.keep()
        except UserError as error:
            _tell(str(error))
        except psycopg.OperationalError as error:  # as long as PostgreSQL is away
            _tell(f"PostgreSQL: {error}")
        if told:  # dbt may have made another error of it
            sys.exit(128 + told[0])
        is_due = outcome == NOTHING_NEW and time.monotonic() - told_at >= AFTER_SECONDS
        if outcome == "succeeded" or is_due:
            after()
            told_at = time.monotonic()
        say(f"Run {number} {outcome} in {time.monotonic() - started:.1f} s")
        time.sleep(max(pause, LOOK_SECONDS) if outcome == NOTHING_NEW else pause)
    raise AssertionError


def _known(asked: Look | None, *, force: bool) -> dict[str, str]:
    """What a look tells the run after it."""
    return {VIEWS_STAND: "yes" if asked and asked.views_stand and not force else ""}


def _run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    on_line: Callable[[str], None] | None,
    end_queries: Callable[[], None] | None = None,
) -> int:
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment,
        pass_fds=descriptors,
        process_group=0,  # so that Ctrl-C reaches dbt once, from here
        stdout=subprocess.PIPE if on_line else None,
        stderr=subprocess.STDOUT if on_line else None,
        text=True,
    )
    try:
        if process.stdout and on_line:
            for line in process.stdout:
                on_line(line.rstrip("\n"))
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)  # dbt cancels its queries and ends, where it may
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(CANCEL_SECONDS)
                break
            if end_queries:
                end_queries()
            else:
                process.kill()
        raise


def main() -> int:
    """`scripts/dbt`: every argument but --help goes to dbt."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        say(USAGE)
        return 0 if arguments else 2
    if own := OWN.get(arguments[0]):
        return own(arguments[1:])
    if {"-h", "--help", "--version"}.intersection(arguments):
        return subprocess.call([*PROGRAM, *arguments])
    force = "--force" in arguments  # dbt has none
    arguments = [argument for argument in arguments if argument != "--force"]
    every = None
    first, _, value = "".join(arguments[:1]).partition("=")
    if first == "--every":
        arguments = [value, *arguments[1:]] if value else arguments[1:]
        every, arguments = _pause(arguments[:1]), arguments[1:]
    settings = read_target()
    with open_databases(settings) as databases:
        after = partial(_after, settings) if "build" in arguments else _nothing
        if every is not None:
            repeat_dbt(arguments, settings, databases.destination, every, force=force, after=after)
        status = run_dbt(arguments, settings, databases.destination, say=_tell, force=force)
        if status == 0:
            after()
        return status


def _as_of(arguments: Sequence[str]) -> int:
    from scripts.lib.dbt.as_of import as_of  # noqa: PLC0415  which runs dbt by this module

    return as_of(arguments)


# What scripts/dbt does besides what dbt does.
OWN: Mapping[str, Callable[[Sequence[str]], int]] = {"as-of": _as_of, "drop-dev": drop_dev}


def _nothing() -> None:
    """After what is no build."""


def _after(settings: Settings) -> None:
    """Tells alerts, and drops from raw what the settings say, by commands, which say why not."""
    if settings.alert_webhook_url:
        subprocess.call([ROOT / "scripts" / "status", "--alerts"], stdout=sys.stderr)
    ages = (
        ("--older-than", settings.retain_events_days),
        ("--rejected-older-than", settings.retain_rejected_days),
    )
    if options := [f"{option}={days}d" for option, days in ages if days]:
        subprocess.call([ROOT / "scripts" / "retain", "--yes", *options], stdout=sys.stderr)


def _pause(arguments: Sequence[str]) -> float:
    with suppress(ValueError, IndexError):
        if 0 <= (seconds := float(arguments[0])) <= MAX_PAUSE_SECONDS:
            return seconds
    raise UserError(f"--every needs a number of seconds from 0 to {MAX_PAUSE_SECONDS}")


if __name__ == "__main__":
    run(main)
