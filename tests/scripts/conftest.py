"""Fixtures of the tests of commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from collector.settings import ROOT
from scripts.lib.base.browser import open_browser
from tests.faults.servers import own_postgres
from tests.support.browsing import build_site
from tests.support.replication import RAW, REJECT, UPDATE_USER, Pair
from tests.support.warehouse import Warehouse

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a script on `database`, from another folder than the project's."""
    running = []

    def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [ROOT / "scripts" / script, *arguments],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HEADWATER_DATA": str(tmp_path / "data"),
                "DATABASE_URL": database,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with process:
            process.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers; the source can be replicated from."""
    with own_postgres() as source, own_postgres() as destination:
        source.execute("alter system set wal_level = logical")
        source.stop("fast")
        source.start()
        yield Pair(source, destination, tmp_path_factory.mktemp("pair"))


@pytest.fixture
def linked(pair: Pair) -> Iterator[Pair]:
    """A pair with rows in the source, all of them replicated, and none when the test ends."""
    pair.source.execute(UPDATE_USER, REJECT)
    pair.link()
    pair.agree()
    yield pair
    pair.script("link", "--remove")
    for server in (pair.source, pair.destination):
        server.execute("alter table raw.events drop column if exists note")
        server.execute("truncate raw.heartbeats, " + ", ".join(f"raw.{table}" for table in RAW))
        server.execute(
            "drop schema if exists staging, intermediate, marts, reports, failing_rows cascade"
        )


@pytest.fixture(scope="module")
def folder(warehouse: Warehouse) -> Path:
    """The site of these marts."""
    output = warehouse.project.parent / "site"
    build_site(warehouse, output)
    return output


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    with open_browser() as browser:
        yield browser
