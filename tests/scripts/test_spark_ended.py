"""A build on Spark ends with who asked for it: at a signal, or where that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from scripts.lib.spark.cluster import GUARD, local_cluster
from scripts.lib.spark.place import publish, unfinished
from tests.support.generated import histories, land
from tests.support.scripts import starting
from tests.support.spark import BUILD_SECONDS, java_below, lives, needs_spark, queries_at_work
from tests.support.warehouse import Warehouse
from tests.support.worlds import SMALL


@needs_spark
@pytest.mark.slow
@pytest.mark.parametrize(("sent", "is_own"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_a_signal_ends_a_build_at_once(
    sent: signal.Signals, is_own: bool, warehouse: Warehouse, tmp_path: Path
) -> None:
    land(warehouse, histories(1, SMALL.users, 2, SMALL.monday, SMALL.midnights))
    lake, marts, events = (tmp_path / name for name in ("lake", "marts", "events"))
    with unfinished(marts) as folder:
        before = publish(folder)
    with ExitStack() as stack:
        start = stack.enter_context(starting(warehouse.database_url, tmp_path))
        assert start("export", "--to", str(lake)).wait() == 0
        options, environment = [], {}
        if not is_own:
            theirs = stack.enter_context(local_cluster(1))
            options += ["--master", theirs.master]
            environment["SPARK_CONF_DIR"] = os.environ["SPARK_CONF_DIR"]
            cluster = psutil.Process().children(recursive=True)
        build = start(
            "spark", "--lake", str(lake), "--to", str(marts), "--event-log", str(events),
            *options, **environment,
        )  # fmt: skip
        deadline = time.monotonic() + BUILD_SECONDS
        while not queries_at_work(events):
            assert build.poll() is None, build.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        begun = psutil.Process(build.pid).children(recursive=True)
        assert any(each.name() == "java" for each in begun)
        build.send_signal(sent)
        signalled = time.monotonic()
        output, errors = build.communicate(timeout=BUILD_SECONDS)
        # Before those that wait ten seconds send SIGKILL.
        assert time.monotonic() - signalled < 8
        assert build.returncode == 128 + sent
        assert errors.endswith(f"error: ended by {sent.name}; `current` is as it was\n")
        for word in ("Traceback", "CANCEL", "ERROR", "Exception"):
            assert word not in output + errors, output + errors
        # What was killed with SIGKILL can take a moment to be gone.
        assert not [each for each in psutil.wait_procs(begun, timeout=3)[1] if lives(each)]
        assert (marts / "current").resolve().name == before
        assert {each.name for each in (marts / "builds").glob("[!.]*")} == {before}
        if not is_own:
            assert all(each.is_running() for each in cluster)
            deadline = time.monotonic() + 20
            while java_below(os.getpid(), "CoarseGrainedExecutorBackend"):
                assert time.monotonic() < deadline
                time.sleep(0.2)


def test_nothing_runs_on_where_the_command_is_killed() -> None:
    """The guard of `cluster.py` ends what it runs as soon as whoever started it is gone."""
    process = subprocess.Popen(
        ["sh", "-c", GUARD, "sh", "sh", "-c", "sleep 1000; true"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    # The program, what that has started, and what waits for this process.
    while len(children := psutil.Process(process.pid).children(recursive=True)) < 3:
        time.sleep(0.01)
    assert process.stdin
    process.stdin.close()  # as where the process is gone that holds it
    process.wait(timeout=10)
    assert not psutil.wait_procs(children, timeout=10)[1]
