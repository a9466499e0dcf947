"""Databases of earlier commits of this repository come up to date by themselves, under load."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from collector.migrate import migrate
from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.collector import wait_until
from tests.support.warehouse import AS_OF, MARTS, Warehouse

# One of each era: the first with all marts, the last before counts were kept by what changes, and
# the last whose marks knew nothing of code.
COMMITS = ("8a1500a", "d66b049", "39d24c0")
FORGET_ALL = "drop schema raw, secret cascade; drop table public.headwater_migrations"
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


class Sender(threading.Thread):
    """Sends events, one batch after the other, until it is stopped: the keys acknowledged."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        # Under ids of their own, which a void would not name.
        events = generate(users=25, seed=29).events
        self.events = [event for event in events if event["eventType"] != "event_voided"]
        self.acknowledged: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            for number in range(1_000_000):
                batch = [
                    {**event, "eventId": f"{number}/{event['eventId']}"} for event in self.events
                ]
                for start in range(0, len(batch), 50):
                    if self.stopping.wait(0.05 if number == 0 else 0.5):
                        return
                    answer = client.post("/events", json=batch[start : start + 50])
                    assert answer.status_code == 200, answer.text
                    self.acknowledged += answer.json()["eventIds"]


@contextmanager
def collector_of(checkout: Path, environment: dict[str, str]) -> Iterator[str]:
    """Runs the collector of a checkout and yields its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.lib.serve"],
        cwd=checkout,
        env={**environment, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found
            yield found[0]
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("commit", COMMITS)
def test_database_of_an_earlier_commit(warehouse: Warehouse, commit: str, tmp_path: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=False
    ).stdout
    if not archive:
        pytest.skip(f"{commit} is not in this clone's history")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path, filter="data")
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": warehouse.database_url,
        "HEADWATER_DATA": str(tmp_path / "data"),
    }

    def its(module: str, *arguments: str, check: bool = True) -> None:
        subprocess.run(
            [sys.executable, "-m", f"scripts.lib.{module}", *arguments],
            cwd=tmp_path,
            env=environment,
            check=check,
            stdout=subprocess.DEVNULL,
        )

    warehouse.execute(FORGET_ALL)
    its("migrate")
    with collector_of(tmp_path, environment) as url:
        sender = Sender(url)
        sender.start()
        try:
            wait_until(lambda: len(sender.acknowledged) > 300)
            variables = json.dumps({"as_of": AS_OF})
            its("dbt", "build", *WITHOUT_TESTS, "--vars", variables)
            before = len(sender.acknowledged)
            migrate(warehouse.database_url)
            printed = warehouse.run()
            wait_until(lambda: len(sender.acknowledged) > before)
        finally:
            sender.stopping.set()
            sender.join()
    assert "stg_events was changed: computed anew" in printed
    assert "was changed" not in warehouse.run()
    if commit == COMMITS[-1]:
        # A build by the earlier version does no harm, whether it works or not.
        its("dbt", "build", *WITHOUT_TESTS, "--vars", variables, check=False)
        assert "stg_events was changed: computed anew" in warehouse.run()
    assert sorted(warehouse.query("select event_id from marts.fct_events")) == sorted(
        (event_id,) for event_id in set(sender.acknowledged)
    )
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)
