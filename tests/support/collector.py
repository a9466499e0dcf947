"""Running collectors, and what is to become true of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from collector.settings import ROOT
from tests.support.postgres import WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector that runs as a process of its own, on a free port."""

    url: str
    database_url: str
    process: subprocess.Popen[str]
    log: Path

    def query(self, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """The rows of a query in its database."""
        return rows_of(self.database_url, query, *values)


def rows_of(database_url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """The rows of a query in a database."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


@contextmanager
def running_collector(
    database_url: str, *, module: str = "collector", **environment: str
) -> Iterator[Collector]:
    """Runs the collector on a database, with further settings, and waits until it is ready."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HEADWATER_DATA": str(folder),
                "DATABASE_URL": database_url,
                "PORT": "0",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        stack.enter_context(process)
        stack.callback(process.terminate)
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found, (folder / "log").read_text()
        collector = Collector(found[0], database_url, process, folder / "log")
        wait_until(lambda: httpx.get(f"{collector.url}/readyz").status_code == 200)
        yield collector


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds; fails the test when it does not come to."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"still not so after {WAIT_SECONDS} s")


def readiness(client: httpx.Client, status: int) -> httpx.Response:
    """What `/readyz` says once its status is this one.

    Whoever asks while the collector looks at its database is answered by that look, which may have
    begun before what the test changed.
    """
    answers: list[httpx.Response] = []

    def answered() -> bool:
        answers.append(client.get("/readyz"))
        return answers[-1].status_code == status

    wait_until(answered)
    return answers[-1]


def served(collector: Collector) -> int:
    """How many connections of clients the collector has; those to PostgreSQL may be TCP as well."""
    port = urlsplit(collector.url).port
    return sum(
        connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED
        for connection in psutil.Process(collector.process.pid).net_connections()
    )


def status(database_url: str, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `scripts/status`."""
    return subprocess.run(
        [ROOT / "scripts" / "status", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "ALERT_WEBHOOK_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
