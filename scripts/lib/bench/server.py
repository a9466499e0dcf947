"""The one PostgreSQL that everything is measured on, and what is to be known of the machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from collector.migrate import migrate
from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import embedded_server

PREFIX = "headwater_bench_"
SHOWN = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "work_mem",
    "max_wal_size",
    "wal_level",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL whose databases named `headwater_bench_*` may be made and dropped."""

    url: str

    def database(self, name: str) -> str:
        """The URL of a database of the measurement."""
        return urlsplit(self.url)._replace(path=f"/{PREFIX}{name}").geturl()

    def create(self, name: str, *, migrated: bool = True, template: str = "") -> str:
        """Makes a database anew, empty or as a copy of another, and returns its URL."""
        self.drop(name)
        names = {"name": sql.Identifier(PREFIX + name)}
        statement = sql.SQL("create database {name}")
        if template:
            names["template"] = sql.Identifier(PREFIX + template)
            statement = sql.SQL("create database {name} template {template}")
        execute(self.url, statement.format(**names))
        if migrated:
            migrate(self.database(name))
        return self.database(name)

    def drop(self, name: str) -> None:
        """Drops a database of the measurement, if it is there."""
        statement = sql.SQL("drop database if exists {} with (force)")
        execute(self.url, statement.format(sql.Identifier(PREFIX + name)))

    def drop_all(self) -> None:
        """Drops every database of the measurement."""
        pattern = PREFIX.replace("_", r"\_") + "%"
        for (name,) in query(
            self.url, "select datname from pg_database where datname like %s", pattern
        ):
            self.drop(name.removeprefix(PREFIX))

    def settle(self) -> None:
        """Writes out what earlier work left, so that no run pays for another's."""
        execute(self.url, "checkpoint")
        time.sleep(0.2)


@contextmanager
def open_server(database_url: str | None, folder: Path) -> Iterator[Server]:
    """The server at `database_url`, else an embedded one of its own under `folder`.

    Raises UserError where fsync is off, since nothing measured without it means anything.
    """
    if database_url:
        server = Server(database_url)
        _require_durable(server)
        server.drop_all()  # what a killed run left
        try:
            yield server
        finally:
            server.drop_all()
        return
    with embedded_server(folder / "pg") as url:
        server = Server(url)
        _require_durable(server)
        yield server


def _require_durable(server: Server) -> None:
    for name in ("fsync", "synchronous_commit"):
        [(value,)] = query(server.url, "select current_setting(%s)", name)
        if value != "on":
            raise UserError(f"{name} of the server is {value}; set it to on to measure")


def query(database_url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        return connection.execute(statement.encode(), values or None).fetchall()


def execute(database_url: str, statement: str | sql.Composed, *values: object) -> None:
    """Runs a statement, or several without values."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        code = statement.encode() if isinstance(statement, str) else statement
        connection.execute(code, values or None)


def node_url(database_url: str) -> str:
    """The same database for node-postgres, whose URLs need a host beside a socket's folder."""
    parts = conninfo_to_dict(database_url)
    user = quote(str(parts.get("user") or "postgres"), safe="")
    password = quote(str(parts.get("password") or ""), safe="")
    credentials = f"{user}:{password}" if password else user
    host = str(parts.get("host") or "localhost")
    port = parts.get("port") or 5432
    if host.startswith("/"):
        return f"postgresql://{credentials}@localhost:{port}/{parts['dbname']}?host={host}"
    return f"postgresql://{credentials}@{host}:{port}/{parts['dbname']}"


def postgres_processes(database_url: str) -> list[psutil.Process]:
    """All processes of the server, where it runs on this machine and may be looked at."""
    try:
        [(data,)] = query(database_url, "select current_setting('data_directory')")
        main = int((Path(data) / "postmaster.pid").read_text().split()[0])
        return [psutil.Process(main), *psutil.Process(main).children()]
    except (OSError, psutil.Error, psycopg.Error, ValueError):
        return []


def postgres_seconds(database_url: str) -> float:
    """CPU seconds of the server so far; 0 where it cannot be looked at."""
    time.sleep(0.2)  # until sessions that have ended are counted with their parent
    processes = postgres_processes(database_url)
    seconds = 0.0
    for process in reversed(processes):  # the one last that counts those that have ended
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += sum(times[:4] if process is processes[0] else times[:2])
    return seconds


@dataclass(slots=True)
class Used:
    """What a block took: seconds of CPU, bytes of WAL, and the load of the machine at its end."""

    postgres: float = 0
    dbt: float = 0
    wal: float = 0
    load: float = 0


@contextmanager
def measured(database_url: str) -> Iterator[Used]:
    """Fills in what the block took. dbt are the processes that this one waited for in it."""
    used = Used()

    def now() -> tuple[float, float, float]:
        [(written,)] = query(database_url, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = children.ru_utime + children.ru_stime
        return postgres_seconds(database_url), seconds, float(written)

    before = now()
    yield used
    used.postgres, used.dbt, used.wal = (
        late - early for early, late in zip(before, now(), strict=True)
    )
    used.load = os.getloadavg()[0]


def facts(server: Server) -> dict[str, str]:
    """What a reader needs to judge the figures: machine, versions, the settings that matter."""
    [(version, collation)] = query(
        server.url,
        "select split_part(version(), ' ', 2), datcollate from pg_database"
        " where datname = current_database()",
    )
    settings = query(
        server.url,
        "select name, current_setting(name) from unnest(%s::text[]) as name",
        list(SHOWN),
    )
    load = os.getloadavg()
    return {
        "commit": commit(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load average": f"{load[0]:.2f} {load[1]:.2f} {load[2]:.2f}",
        "Python": platform.python_version(),
        "PostgreSQL": str(version),
        "collation": str(collation),
        **dict(settings),
    }


def commit() -> str:
    """The short hash of the commit that is checked out, marked where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
