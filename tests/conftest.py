"""Fixtures shared by all tests: a PostgreSQL, databases on it, and running collectors."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from collector.migrate import migrate
from collector.settings import ROOT
from tests.faults.outcome import TABLE
from tests.support.api import make_key
from tests.support.collector import Collector, running_collector
from tests.support.postgres import (
    EMPTY,
    GIVEN_URL,
    WAIT_SECONDS,
    WAREHOUSE,
    own_server,
    server_seconds,
)
from tests.support.warehouse import Warehouse

# A process started in the background ignores SIGINT, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A user's own databases and targets are none of the tests' business.
for name in (
    "DATABASE_URL", "SOURCE_DATABASE_URL", "DESTINATION_DATABASE_URL", "MIGRATION_DATABASE_URL",
    "DBT_TARGET", "DBT_TARGET_PATH", "DBT_SCHEMA", "ALERT_WEBHOOK_URL", "API_KEY",
):  # fmt: skip
    os.environ.pop(name, None)

CPU_SECONDS = [0.0]  # up to the last report

TESTS = Path(__file__).parent
# The files that take minutes, longest first, as --slowest-files says.
LONGEST = (
    "scripts/test_spark.py",
    "scripts/test_spark_ended.py",
    "faults/test_faults.py",
    "dbt_project/test_incremental.py",
    "dbt_project/test_builds.py",
    "scripts/test_site_pages.py",
    "dbt_project/test_changed_code.py",
    "scripts/test_scripts.py",
    "scripts/test_link_builds.py",
    "dbt_project/test_updates.py",
    "dbt_project/test_analysts_page.py",
    "scripts/test_erase.py",
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the table of faults to the process that prints, where tests run on all cores."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = session.config.stash.get(TABLE, "")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401
    """Takes the table of faults from the process that ran these tests (pytest-xdist)."""
    if table := getattr(node, "workeroutput", {}).get("faults"):
        node.config.stash[TABLE] = table


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option by which a run says where its time went."""
    parser.addoption(
        "--slowest-files",
        type=int,
        default=0,
        metavar="N",
        help="show the N files of tests that took the most time",
    )


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: what strikes a fault or runs into a time limit mostly waits."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes long first: no such file is left to one process when others are done.

    First the files that are known to, then those with slow tests, last the collector's short ones.
    """

    assert all((TESTS / name).is_file() for name in LONGEST), LONGEST

    def place(path: Path) -> tuple[int, bool, bool]:
        name = path.relative_to(TESTS).as_posix()
        known = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return known, path not in slow, name.startswith("collector/")

    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: place(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes the CPU seconds since the last report, of this process and those it has waited for."""
    report = yield
    before, CPU_SECONDS[0] = CPU_SECONDS[0], sum(os.times()[:4]) + server_seconds()
    report.user_properties.append(("cpu_seconds", CPU_SECONDS[0] - before))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the table of faults and the slowest files at the end of pytest's output."""
    if table := config.stash.get(TABLE, None):
        terminalreporter.write_line("\n" + table)
    if number := config.getoption("--slowest-files"):
        seconds: defaultdict[str, float] = defaultdict(float)
        cpu_seconds: defaultdict[str, float] = defaultdict(float)
        for report in itertools.chain(*terminalreporter.stats.values()):
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                seconds[file] += report.duration
                for name, value in report.user_properties:
                    if name == "cpu_seconds" and isinstance(value, float):
                        cpu_seconds[file] += value
        terminalreporter.section(f"slowest {number} files (seconds, CPU seconds)")
        for file in sorted(seconds, key=seconds.__getitem__, reverse=True)[:number]:
            terminalreporter.write_line(f"{seconds[file]:7.1f} {cpu_seconds[file]:7.1f}  {file}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server for all tests of this process: the one given (`support.postgres`), or an own one.

    Where tests run on all cores, the first process has the server that was given. The others have
    their own: an open transaction of one test would hold back what another one's build may read.
    """
    if GIVEN_URL and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        yield GIVEN_URL
        return
    with own_server() as (url, _):
        yield url


@pytest.fixture(scope="session")
def create_database(postgres_url: str) -> Iterator[Callable[..., AbstractContextManager[str]]]:
    """Makes migrated databases: `with create_database() as url`; the end of the block drops it."""
    with ExitStack() as stack:
        server = psycopg.connect(postgres_url, autocommit=True)
        stack.enter_context(closing(server))

        @contextmanager
        def create(template: str = "template0", name: str = "") -> Iterator[str]:
            name = name or f"hw_{uuid4().hex}"
            names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
            server.execute(sql.SQL("create database {name} template {template}").format(**names))
            try:
                url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
                migrate(url)  # grants on a database are not copied with it
                yield url
            finally:
                server.execute(sql.SQL("drop database {name} with (force)").format(**names))

        template_url = stack.enter_context(create())
        yield partial(create, urlsplit(template_url).path[1:])


@pytest.fixture
def database(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """A fresh, migrated database for one test."""
    with create_database() as url:
        yield url


@pytest.fixture(scope="module")
def module_collector(
    create_database: Callable[..., AbstractContextManager[str]],
) -> Iterator[Collector]:
    """A collector with a database of its own for the tests of a module, whatever they leave."""
    with create_database() as url, running_collector(url) as collector:
        yield collector


@pytest.fixture
def collector(module_collector: Collector) -> Collector:
    """A running collector with nothing stored yet; the tests of a module share the process."""
    with closing(psycopg.connect(module_collector.database_url, autocommit=True)) as connection:
        connection.execute(EMPTY)
    return module_collector


@pytest.fixture
def client(collector: Collector) -> Iterator[httpx.Client]:
    """An HTTP client of `collector`."""
    with httpx.Client(base_url=collector.url, timeout=WAIT_SECONDS) as client:
        yield client


@pytest.fixture(scope="module")
def keyed(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[Collector]:
    """A collector whose database had a key before it started."""
    with create_database() as url:
        make_key(url, "first", "write")
        with running_collector(url) as collector:
            yield collector


@pytest.fixture(scope="session")
def parsed_project(
    create_database: Callable[..., AbstractContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A copy of dbt_project that dbt has parsed, for the tests to copy: parsing takes seconds."""
    project = tmp_path_factory.mktemp("parsed") / "dbt_project"
    ignored = shutil.ignore_patterns("target", "logs")
    shutil.copytree(ROOT / "dbt_project", project, ignore=ignored)
    with create_database(name=WAREHOUSE) as url:
        Warehouse(url, project).dbt("parse")
    return project


@pytest.fixture(scope="session")
def create_warehouse(
    create_database: Callable[..., AbstractContextManager[str]],
    parsed_project: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], AbstractContextManager[Warehouse]]:
    """Makes fresh databases to run dbt on, one at a time, each with its own copy of the project."""

    @contextmanager
    def create() -> Iterator[Warehouse]:
        project = tmp_path_factory.mktemp("warehouse") / "dbt_project"
        # Always the same name: dbt parses anew for a database of another one.
        with create_database(name=WAREHOUSE) as url:
            yield Warehouse(url, shutil.copytree(parsed_project, project))

    return create


@pytest.fixture
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """A fresh database to run dbt on."""
    with create_warehouse() as warehouse:
        yield warehouse
