"""WORKERS: several processes of the collector on one port."""

from __future__ import annotations

import re
import signal

import httpx
import psutil
import pytest

from tests.support.api import event
from tests.support.collector import running_collector
from tests.support.postgres import WAIT_SECONDS


def test_two_processes_share_a_port(database: str) -> None:
    with running_collector(database, WORKERS="2") as collector:
        assert collector.process.stdout is not None
        ports = next(line for line in collector.process.stdout if line.startswith("2 processes;"))
        for _ in range(40):  # connections, which the two take by chance
            assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200
        metrics = [
            httpx.get(f"http://127.0.0.1:{port}/metrics").text
            for port in re.findall(r"\d{4,5}", ports)
        ]
        accepted = [
            float(count)
            for text in metrics
            for count in re.findall(r"^headwater_events_accepted_total.* (\S+)$", text, re.M)
        ]
        assert len(accepted) == 2
        assert sum(accepted) == 40
        assert collector.query("select count(*) from raw.events") == [(40,)]
        answer = httpx.get(f"{collector.url}/metrics")
        assert (answer.status_code, answer.json()["code"]) == (404, "metrics_by_process")


@pytest.mark.parametrize("killed", ["child", "parent"])
def test_all_processes_end_with_one(database: str, killed: str) -> None:
    with running_collector(database, WORKERS="2") as collector:
        parent = psutil.Process(collector.process.pid)
        children = parent.children()
        assert len(children) == 2
        (parent if killed == "parent" else children[0]).send_signal(signal.SIGKILL)
        assert collector.process.wait(WAIT_SECONDS) != 0
        psutil.wait_procs(children, WAIT_SECONDS)
        assert not any(child.is_running() for child in children)
