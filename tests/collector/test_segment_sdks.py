"""Segment's own SDKs send to the collector through a stop and restart of PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import httpx
import pytest

from collector.settings import ROOT
from scripts.lib.base.browser import chromium, open_browser
from tests.faults.servers import Postgres, own_postgres
from tests.support.api import make_key
from tests.support.browsing import is_away
from tests.support.collector import Collector, running_collector, wait_until
from tests.support.node import node_is_missing
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parent / "sdks"
TRACKED = 20  # by each client, half of them while the database is away
SDKS = ["python", "python without Authorization", "node", "browser"]
# The last of the releases that send the key in the body only.
WITHOUT_AUTHORIZATION = "segment-analytics-python==2.3.6"

Send = Callable[[], None]


class Sent(NamedTuple):
    """The marts of what the clients sent; `missing` says why a client did not run."""

    warehouse: Warehouse
    missing: dict[str, str]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Each SDK here has sent half of its messages while PostgreSQL ran, half while it did not."""
    folder = tmp_path_factory.mktemp("sdks")
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        keys = {sdk: make_key(postgres.url, sdk, "write") for sdk in SDKS}
        page_url = stack.enter_context(_served(folder))
        collector = stack.enter_context(running_collector(postgres.url, CORS_ORIGINS=page_url))
        second_halves: list[Send] = []
        for sdk, begin in _clients(collector, folder, page_url, missing, stack).items():
            second_halves.append(begin(keys[sdk]))
        ran = [sdk for sdk in SDKS if sdk not in missing]
        wait_until(lambda: _landed(collector, ran) == {2 + TRACKED // 2})
        _send_through_an_outage(postgres, collector, second_halves)
        wait_until(lambda: _landed(collector, ran) == {2 + TRACKED})

        ignored = shutil.ignore_patterns("target", "logs")
        project = shutil.copytree(ROOT / "dbt_project", folder / "dbt_project", ignore=ignored)
        warehouse = Warehouse(postgres.url, project)
        warehouse.run("--select", "+fct_events", "+dim_users")
        yield Sent(warehouse, missing)


@pytest.mark.parametrize("sdk", SDKS)
def test_every_message_is_in_the_marts_once(sent: Sent, sdk: str) -> None:
    if reason := sent.missing.get(sdk):
        pytest.skip(reason)
    rows = sent.warehouse.query(
        "select event_type, user_id, activity ->> 'number' from marts.fct_events where source = %s",
        sdk,
    )
    expected: list[tuple[object, ...]] = [
        ("page_viewed", "ada", None),
        ("user_identified", "ada", None),
        *(("sdk_tested", "ada", str(number)) for number in range(TRACKED)),
    ]
    assert sorted(rows, key=str) == sorted(expected, key=str)


def test_identified_user_has_a_score(sent: Sent) -> None:
    users = sent.warehouse.query("select user_id, score_band from marts.dim_users")
    assert users == [("ada", "good")]


def _send_through_an_outage(
    postgres: Postgres, collector: Collector, second_halves: list[Send]
) -> None:
    postgres.stop("immediate")
    try:
        for send in second_halves:
            send()
        wait_until(lambda: _put_off(collector) >= len(second_halves))
    finally:
        postgres.start()


def _put_off(collector: Collector) -> int:
    """How many requests of SDKs were answered that they should come again."""
    lines = httpx.get(f"{collector.url}/metrics").text.splitlines()
    counts = [line for line in lines if 'route="/v1/{call}"' in line and 'status="429"' in line]
    return sum(int(float(line.split()[-1])) for line in counts if "requests_total" in line)


def _landed(collector: Collector, sdks: list[str]) -> set[int]:
    """How many different events each SDK has in raw."""
    query = "select source, count(distinct event_id) from raw.events group by source"
    counts = dict(collector.query(query))
    return {counts.get(sdk, 0) for sdk in sdks}


def _clients(
    collector: Collector, folder: Path, page_url: str, missing: dict[str, str], stack: ExitStack
) -> dict[str, Callable[[str], Send]]:
    """What begins each SDK that can run here with a key, and returns what has it go on."""
    program = partial(_program, collector, stack)
    clients: dict[str, Callable[[str], Send]] = {
        "python": partial(program, [sys.executable, CLIENTS / "client.py"])
    }
    old = folder / "python"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(old)]
    if subprocess.run([*pip, WITHOUT_AUTHORIZATION], check=False).returncode:
        missing["python without Authorization"] = "pip cannot install it"
    else:
        command = ["env", f"PYTHONPATH={old}", sys.executable, CLIENTS / "client.py"]
        clients["python without Authorization"] = partial(program, command)
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True)
    npm = ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
    if reason := node_is_missing(20):
        missing["node"] = missing["browser"] = reason
        return clients
    subprocess.run(npm, cwd=folder, check=True)
    clients["node"] = partial(program, ["node", folder / "client.js"])
    if chromium() is None:
        missing["browser"] = "no Chromium"
        return clients
    return clients | {"browser": partial(_page, collector, stack, page_url)}


def _program(collector: Collector, stack: ExitStack, command: list[str | Path], key: str) -> Send:
    arguments = [*command, collector.url, key, str(TRACKED)]
    pipe = subprocess.PIPE
    process = stack.enter_context(subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True))
    stack.callback(process.kill)
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "half\n"

    def go_on() -> None:
        assert process.stdin
        process.stdin.write("go on\n")
        process.stdin.flush()

    return go_on


def _page(collector: Collector, stack: ExitStack, page_url: str, key: str) -> Send:
    faults: list[str] = []
    page = stack.enter_context(open_browser()).new_page()
    stack.callback(lambda: _assert_none(faults))
    page.on("request", lambda request: faults.append(request.url) if is_away(request.url) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{page_url}/client.html#{collector.url.removeprefix('http://')}/v1,{key}")
    page.evaluate("begin()")
    page.evaluate(f"track(0, {TRACKED // 2})")
    return lambda: page.evaluate(f"track({TRACKED // 2}, {TRACKED})")


def _assert_none(faults: list[str]) -> None:
    assert faults == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serves a folder to browsers and yields its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
