"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser

from scripts.lib.base.browser import open_browser
from tests.faults.servers import own_postgres
from tests.support.browsing import build_site
from tests.support.collector import Collector
from tests.support.replaying import Replayer
from tests.support.replication import RAW, REJECT, UPDATE_USER, Pair
from tests.support.scripts import Start, starting
from tests.support.warehouse import Warehouse


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a script on `database`."""
    with starting(database, tmp_path) as start:
        yield start


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Opened on `database`, each statement by itself."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        yield connection


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


@pytest.fixture
def replayer(collector: Collector, tmp_path: Path) -> Replayer:
    """Replays files of a folder to a collector."""
    return Replayer(collector, tmp_path)
