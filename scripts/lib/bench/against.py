"""Another commit of this repository in turn with this one, each with its own lock's packages."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.bench.bench import Bench, run_command
from scripts.lib.bench.load import wrk
from scripts.lib.bench.measure import Goal, MissingError, Row, Sample, alternated, check_answers
from scripts.lib.bench.server import execute, postgres_seconds, query
from scripts.lib.bench.warehouse import EVENTS_PER_USER, NEW_EVENTS, NEW_USERS, SMALL, land_script

CONNECTIONS = 64
ROUNDS = 3  # of a warm process that count, after a first
AS_OF = "{as_of: 2026-11-01 00:00+00}"  # the end of the history: nothing comes of age
_ROUND = re.compile(r"^Run \d+ (\w+).* in ([\d.]+) s")
UNITS = {
    "wall": "s",
    "dbt": "s of CPU",
    "PostgreSQL": "s of CPU",
    "collector": "µs of CPU an event",
}


@dataclass(slots=True)
class Commit:
    """A tree of files with its own packages, and the database that its commands work on."""

    bench: Bench
    name: str
    tree: Path
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        folder = self.bench.folder / self.name
        return {
            **{name: value for name, value in os.environ.items() if "DATABASE_URL" not in name},
            "DATABASE_URL": self.url,
            "HEADWATER_DATA": str(folder),
            "DBT_TARGET": "prod",
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }

    def command(self, script: str, *arguments: str) -> list[str]:
        """One of its commands."""
        return [str(self.tree / "scripts" / script), *arguments]

    def land(self, users: int) -> None:
        """Gives it a database of its own with the history of so many users, seeds loaded."""
        self.url = self.bench.server.create(self.name, migrated=False)
        run_command(self.command("migrate"), self.environment)
        land_script(self.url, "land_history", {"users": users})
        execute(self.url, "vacuum analyze")
        run_command(self.command("dbt", "seed"), self.environment)

    def land_more(self, batch: int) -> None:
        """10,000 events more."""
        users = self.bench.count(SMALL)
        values = {"users": users, "new_users": NEW_USERS, "new_events": NEW_EVENTS, "batch": batch}
        land_script(self.url, "land_increment", values)

    def dbt(self, *arguments: str) -> Mapping[str, float]:
        """Seconds of a run of dbt: wall clock, and CPU of its processes and of PostgreSQL."""
        self.bench.server.settle()
        with self.measured("dbt") as figures:
            run_command(self.command("dbt", *arguments, "--vars", AS_OF), self.environment)
        return figures

    @contextmanager
    def measured(self, side: str) -> Iterator[dict[str, float]]:
        """Fills in what the block took, by the names of UNITS."""
        figures: dict[str, float] = {}
        before = time.monotonic(), cpu_of_children(), postgres_seconds(self.bench.server.url)
        yield figures
        after = time.monotonic(), cpu_of_children(), postgres_seconds(self.bench.server.url)
        names = ("wall", side, "PostgreSQL")
        figures |= {
            name: late - early for name, early, late in zip(names, before, after, strict=True)
        }

    @contextmanager
    def rounds(self) -> Iterator[Callable[[], Mapping[str, float]]]:
        """One process that runs dbt again and again: seconds of its next round that is whole."""
        command = self.command("dbt", "--every", "5", "--quiet", "run", "--vars", AS_OF)
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, text=True
        ) as process:

            def next_round() -> Mapping[str, float]:
                for line in process.stdout or ():
                    if found := _ROUND.match(line):
                        if found[1] == "failed":
                            raise UserError(f"dbt failed in {self.tree}")
                        return {"wall": float(found[2])}
                raise UserError(f"dbt ended in {self.tree}")

            try:
                yield next_round
            finally:
                process.terminate()


def against(bench: Bench) -> Iterator[Row]:
    """Both commits: builds, rounds of a warm process, single events, the demo, the installation."""
    if not bench.against:
        raise MissingError("name a commit with --against")
    with _checked_out(bench) as tree:
        here = Commit(bench, "here", ROOT)
        there = Commit(bench, "there", tree)
        yield from _builds(bench, here, there)
        yield from _warm(bench, here, there)
        yield from _single(bench, here, there)
        yield from _demo(bench, here, there)


@contextmanager
def _checked_out(bench: Bench) -> Iterator[Path]:
    tree = bench.folder / "tree"
    git = ["git", "-C", str(ROOT), "worktree"]
    run_command([*git, "add", "--detach", str(tree), bench.against], os.environ)
    try:
        bench.say(f"installing {bench.against}")
        run_command([str(tree / "scripts" / "install")], os.environ)
        yield tree
    finally:
        run_command([*git, "remove", "--force", str(tree)], os.environ)


def _rows(
    bench: Bench, work: str, bounds: Mapping[str, float], *figures: Mapping[str, tuple[float, ...]]
) -> Iterator[Row]:
    """A row for each figure, this commit's beside the other's."""
    for name, values in figures[0].items():
        ours = Sample("here", UNITS[name], values)
        theirs = Sample(bench.against, UNITS[name], figures[1][name])
        goal = Goal("<=", bounds[name]) if name in bounds else None
        yield Row(f"{work}: {name}", ours, theirs, goal)


def _builds(bench: Bench, *commits: Commit) -> Iterator[Row]:
    users = bench.count(SMALL)
    history = f"{users * EVENTS_PER_USER:,} events"

    def first(commit: Commit) -> Mapping[str, float]:
        bench.say(f"first build, {commit.name}")
        commit.land(users)
        return commit.dbt("run")

    def increment(commit: Commit) -> Mapping[str, float]:
        bench.say(f"10,000 more, {commit.name}")
        commit.land_more(time.time_ns() % 1_000_000_000)
        return commit.dbt("run")

    def again(commit: Commit) -> Mapping[str, float]:
        bench.say(f"nothing new, {commit.name}")
        return commit.dbt("run")

    for work, measured, bounds in (
        (f"dbt run, first build of {history}", first, {"wall": 0.6}),
        (f"dbt run, {NEW_EVENTS:,} events more", increment, {"wall": 0.6}),
        ("dbt run, nothing new", again, {"wall": 0.13}),
    ):
        turns = [partial(measured, commit) for commit in commits]
        yield from _rows(bench, work, bounds, *alternated(bench.runs, *turns))


def _warm(bench: Bench, *commits: Commit) -> Iterator[Row]:
    """Rounds of one process, of one commit after the other, since both would share the cores."""
    idle: list[Mapping[str, tuple[float, ...]]] = []
    busy: list[Mapping[str, tuple[float, ...]]] = []
    for commit in commits:
        bench.say(f"rounds of one process, {commit.name}")
        with commit.rounds() as next_round:

            def with_more(
                commit: Commit = commit, next_round: Callable[[], Mapping[str, float]] = next_round
            ) -> Mapping[str, float]:
                commit.land_more(time.time_ns() % 1_000_000_000)
                return next_round()

            next_round()
            idle += alternated(ROUNDS, next_round)
            busy += alternated(ROUNDS, with_more)
    yield from _rows(bench, "a round of one process, nothing new", {"wall": 0.1}, *idle)
    work = f"a round of one process, {NEW_EVENTS:,} events more"
    yield from _rows(bench, work, {"wall": 0.31}, *busy)


def _single(bench: Bench, *commits: Commit) -> Iterator[Row]:
    """One event a request: what it costs the collector and PostgreSQL."""

    def posted(commit: Commit) -> Mapping[str, float]:
        bench.say(f"one event a request, {commit.name}")
        execute(commit.url, "truncate raw.events")
        bench.server.settle()
        own = {"PORT": "0", "HOST": "127.0.0.1"}
        with subprocess.Popen(
            commit.command("serve"), env=commit.environment | own, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                found = (
                    re.search(r"http://[^ ,]+", process.stdout.readline())
                    if process.stdout
                    else None
                )
                if not found:
                    raise UserError(f"the collector of {commit.tree} did not start")
                collector = psutil.Process(process.pid)
                before = sum(collector.cpu_times()[:2])
                load = wrk(f"{found[0]}/events", CONNECTIONS, bench.seconds(6))
                seconds = sum(collector.cpu_times()[:2]) - before
            finally:
                process.terminate()
        check_answers(commit.name, load.refused)
        [(count,)] = query(commit.url, "select count(*) from raw.events")
        return {"collector": seconds / count * 1e6}

    turns = [partial(posted, commit) for commit in commits]
    work = f"one event a request, {CONNECTIONS} connections"
    yield from _rows(bench, work, {"collector": 0.65}, *alternated(bench.runs, *turns))


def _demo(bench: Bench, *commits: Commit) -> Iterator[Row]:
    """`scripts/demo` in a fresh folder; in a fresh clone its packages are installed first."""

    def shown(commit: Commit, *, cloned: bool) -> Mapping[str, float]:
        bench.say(f"scripts/demo, {commit.name}")
        clone = bench.folder / "clone"
        shutil.rmtree(bench.folder / commit.name, ignore_errors=True)
        shutil.rmtree(clone, ignore_errors=True)
        environment = commit.environment | {"DATABASE_URL": "", "UV_NO_CACHE": "1"}
        tree = commit.tree
        if cloned:
            run_command(["git", "clone", "--quiet", str(tree), str(clone)], os.environ)
            tree = clone
        with commit.measured("dbt") as figures:
            run_command([str(tree / "scripts" / "demo")], environment)
        return {"wall": figures["wall"]}

    for where in ("installed", "in a fresh clone"):
        turns = [partial(shown, commit, cloned=where != "installed") for commit in commits]
        work = f"scripts/demo, {where}"
        yield from _rows(bench, work, {"wall": 0.5}, *alternated(bench.runs, *turns))


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
