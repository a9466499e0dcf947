"""Another commit of this repository in turn with this one, each with its own lock's packages."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from collector.settings import ROOT
from scripts.lib.bench.bench import Bench, run_command
from scripts.lib.bench.load import wrk
from scripts.lib.bench.measure import Goal, MissingError, Row, Sample, alternated, check_answers
from scripts.lib.bench.server import execute, measured, query
from scripts.lib.bench.warehouse import NEW_EVENTS, SMALL, Warehouse, land_script

CONNECTIONS = 64
ROUNDS = 3  # of a warm process that count, after a first
UNITS = {
    "wall": "s",
    "dbt": "s of CPU",
    "PostgreSQL": "s of CPU",
    "collector": "µs of CPU an event",
}
# What is measured of a commit, by the names of UNITS. Each has a warehouse of its own.
Figures = Mapping[str, float]


def against(bench: Bench) -> Iterator[Row]:
    """Both commits: builds, rounds of a warm process, single events, the demo, the installation."""
    if not bench.against:
        raise MissingError("name a commit with --against")
    users = bench.count(SMALL)
    with _checked_out(bench) as tree:
        commits = [
            Warehouse(bench.server.database(name), bench.folder / name, users, tree=files)
            for name, files in (("here", ROOT), ("there", tree))
        ]
        history = f"{commits[0].events} events"
        for work, measured, bounds in (
            (f"dbt run, first build of {history}", _first_build, {"wall": 0.6}),
            (f"dbt run, {NEW_EVENTS:,} events more", _increment, {"wall": 0.6}),
            ("dbt run, nothing new", _dbt, {"wall": 0.13}),
        ):
            yield from _in_turn(bench, commits, work, bounds, measured)
        yield from _warm(bench, commits)
        work = f"one event a request, {CONNECTIONS} connections"
        yield from _in_turn(bench, commits, work, {"collector": 0.65}, _posted)
        for where in ("installed", "in a fresh clone"):
            shown = partial(_shown, cloned=where != "installed")
            yield from _in_turn(bench, commits, f"scripts/demo, {where}", {"wall": 0.5}, shown)


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


def _in_turn(
    bench: Bench,
    commits: list[Warehouse],
    work: str,
    bounds: Mapping[str, float],
    measured: Callable[[Bench, Warehouse], Figures],
) -> Iterator[Row]:
    def said(commit: Warehouse) -> Figures:
        bench.say(f"{work}, {commit.folder.name}")
        return measured(bench, commit)

    turns = [partial(said, commit) for commit in commits]
    yield from _rows(bench, work, bounds, *alternated(bench.runs, *turns))


def _rows(
    bench: Bench, work: str, bounds: Mapping[str, float], *figures: Mapping[str, tuple[float, ...]]
) -> Iterator[Row]:
    """A row for each figure, this commit's beside the other's."""
    for name, values in figures[0].items():
        ours = Sample("here", UNITS[name], values)
        theirs = Sample(bench.against, UNITS[name], figures[1][name])
        goal = Goal("<=", bounds[name]) if name in bounds else None
        yield Row(f"{work}: {name}", ours, theirs, goal)


def _first_build(bench: Bench, commit: Warehouse) -> Figures:
    bench.server.create(commit.folder.name, migrated=False)
    commit.run("migrate")
    land_script(commit.database_url, "land_history", {"users": commit.users})
    execute(commit.database_url, "vacuum analyze")
    commit.run("dbt", "seed")
    return _dbt(bench, commit)


def _increment(bench: Bench, commit: Warehouse) -> Figures:
    commit.land_increment()
    return _dbt(bench, commit)


def _dbt(bench: Bench, commit: Warehouse) -> Figures:
    """Seconds of a run of dbt: wall clock, and CPU of its processes and of PostgreSQL."""
    bench.server.settle()
    with measured(bench.server.url) as used:
        wall = commit.dbt("run").wall_seconds
    return {"wall": wall, "dbt": used.dbt, "PostgreSQL": used.postgres}


def _warm(bench: Bench, commits: list[Warehouse]) -> Iterator[Row]:
    """Rounds of one process, of one commit after the other, since both would share the cores."""
    idle: list[Mapping[str, tuple[float, ...]]] = []
    busy: list[Mapping[str, tuple[float, ...]]] = []
    for commit in commits:
        bench.say(f"rounds of one process, {commit.folder.name}")
        with commit.rounds(pause=5) as next_round:
            next_round()
            idle.append({"wall": tuple(next_round() for _ in range(ROUNDS))})
            seconds = []
            for _ in range(ROUNDS):
                commit.land_increment()
                seconds.append(next_round())
            busy.append({"wall": tuple(seconds)})
    yield from _rows(bench, "a round of one process, nothing new", {"wall": 0.1}, *idle)
    work = f"a round of one process, {NEW_EVENTS:,} events more"
    yield from _rows(bench, work, {"wall": 0.31}, *busy)


def _posted(bench: Bench, commit: Warehouse) -> Figures:
    """One event a request: what it costs the collector."""
    execute(commit.database_url, "truncate raw.events")
    bench.server.settle()
    with bench.collector(commit.database_url, commit.tree) as running:
        collector = psutil.Process(running.pid)
        before = sum(collector.cpu_times()[:2])
        load = wrk(f"{running.url}/events", CONNECTIONS, bench.seconds(6))
        seconds = sum(collector.cpu_times()[:2]) - before
    check_answers(commit.folder.name, load.refused)
    [(count,)] = query(commit.database_url, "select count(*) from raw.events")
    return {"collector": seconds / count * 1e6}


def _shown(bench: Bench, commit: Warehouse, *, cloned: bool) -> Figures:
    """`scripts/demo` in a fresh folder; in a fresh clone its packages are installed first."""
    clone = bench.folder / "clone"
    shutil.rmtree(commit.folder, ignore_errors=True)
    shutil.rmtree(clone, ignore_errors=True)
    environment = commit.environment() | {"DATABASE_URL": "", "UV_NO_CACHE": "1"}
    tree = commit.tree
    if cloned:
        run_command(["git", "clone", "--quiet", str(tree), str(clone)], os.environ)
        tree = clone
    started = time.monotonic()
    run_command([str(tree / "scripts" / "demo")], environment)
    return {"wall": time.monotonic() - started}
