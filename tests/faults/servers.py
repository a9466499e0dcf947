"""Servers to kill: a PostgreSQL and a collector of the test's own, and a disk that can be full."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from collector.migrate import migrate
from tests.support.collector import Collector, running_collector
from tests.support.postgres import WAIT_SECONDS, WAREHOUSE, own_server, pg_ctl, start


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL with a migrated database; all of it may be killed."""

    url: str
    data: Path

    def kill(self) -> None:
        """Kills the postmaster and all backends with SIGKILL."""
        postmaster = self.postmaster()
        assert postmaster is not None
        postmaster.suspend()  # so that no backend is started meanwhile
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(processes, WAIT_SECONDS)
        assert not alive

    def stop(self, mode: str) -> None:
        """Stops it; `mode` is that of pg_ctl: `fast` or `immediate`."""
        pg_ctl(self.data, "stop", "-m", mode)

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        start(self.data)

    def execute(self, *statements: str) -> None:
        """Runs statements, each in a transaction of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def postmaster(self) -> psutil.Process | None:
        """Its main process; None where it does not run."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            return process if str(self.data) in process.cmdline() else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def end(self, first: psutil.Process | None) -> None:
        """Stops it, however the test left it; what `own_server` started it also stops itself."""
        running = self.postmaster()
        if running and running != first:
            self.stop("immediate")
        if running != first:
            (self.data / "postmaster.pid").unlink(missing_ok=True)


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    """Runs a PostgreSQL for one test."""
    with own_server() as (server_url, data):
        url = urlsplit(server_url)._replace(path=f"/{WAREHOUSE}").geturl()
        postgres = Postgres(url, data)
        first = postgres.postmaster()
        try:
            Postgres(server_url, data).execute(f"create database {WAREHOUSE}")
            migrate(url)
            yield postgres
        finally:
            postgres.end(first)


class Supervisor:
    """Runs a collector, and another one on the same port when that has ended, as systemd would."""

    def __init__(self, database_url: str, module: str, **environment: str) -> None:
        self._database_url = database_url
        self._module = module
        self._environment = {"PORT": str(_free_port()), **environment}
        self._running = ExitStack()
        self.collector = self._start()

    def restart(self) -> None:
        """Starts the collector that has ended anew."""
        self.end()
        self.collector = self._start()

    def end(self) -> None:
        """Ends the collector if it runs."""
        self._running.close()

    def _start(self) -> Collector:
        return self._running.enter_context(
            running_collector(self._database_url, module=self._module, **self._environment)
        )


def _free_port() -> int:
    """A port that no outgoing connection is given: a client's own could take it in a restart."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system that a tablespace can be on."""

    path: Path

    def fill(self) -> None:
        """Takes all the space that is left."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass

    def free(self) -> None:
        """Gives the space back."""
        self._ballast.unlink(missing_ok=True)

    @contextmanager
    def holding_raw(self, postgres: Postgres) -> Iterator[None]:
        """Has the raw tables of a database here for the time of the block."""
        folder = self.path / "raw"
        folder.mkdir()
        shutil.chown(folder, postgres.data.owner())
        postgres.execute(f"create tablespace small location '{folder}'")
        try:
            postgres.execute(*_move("pg_default", "small"))
            yield
        finally:
            self.free()
            postgres.execute(*_move("small", "pg_default"), "drop tablespace small")
            folder.rmdir()

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


def _move(source: str, target: str) -> list[str]:
    names = f"in tablespace {source} set tablespace {target}"
    return [f"alter {kind} all {names}" for kind in ("table", "index")]


@contextmanager
def small_disk() -> Iterator[Disk | str]:
    """Mounts a file system in memory; where that is refused it yields the reason."""
    if os.geteuid() != 0:
        yield "a file system of its own needs root"
        return
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", str(folder)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            yield f"a file system of its own cannot be mounted: {mounted.stderr.strip()}"
            return
        try:
            yield Disk(folder)
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()
