"""The fault tests can fail: with planted defects acknowledged events are lost, and counted."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.servers import own_postgres
from tests.faults.trial import trial


def test_acknowledgement_before_the_commit_is_found(tmp_path: Path) -> None:
    """A planted defect loses events, and they are counted, where commits take their time."""
    with (
        own_postgres() as postgres,
        trial(
            "planted: early acknowledgement",
            postgres,
            tmp_path,
            module="tests.faults.planted",
            PLANTED_DEFECT="early_acknowledgement",
        ) as it,
    ):
        it.postgres.execute(  # 0.1 s, which is the longest; nothing is delayed without fsync
            "alter system set fsync = on",
            "alter system set commit_siblings = 0",
            "alter system set commit_delay = 100000",
            "select pg_reload_conf()",
        )
        for _ in range(5):
            it.load()
            it.supervisor.collector.process.kill()
            it.supervisor.collector.process.wait()
            ended = time.monotonic()
            it.supervisor.restart()
            it.recover(ended)
            if it.lost:
                break
        assert it.finish(1).lost > 0


def test_commit_that_does_not_wait_for_the_disk_is_found(tmp_path: Path) -> None:
    """With synchronous_commit off an immediate stop loses events."""
    with (
        own_postgres() as postgres,
        trial(
            "planted: asynchronous commit",
            postgres,
            tmp_path,
            module="tests.faults.planted",
            PLANTED_DEFECT="asynchronous_commit",
        ) as it,
    ):
        it.postgres.execute(  # the longest that PostgreSQL allows
            "alter system set wal_writer_delay = '10s'",
            "alter system set wal_writer_flush_after = '1GB'",
            "select pg_reload_conf()",
        )
        for _ in range(5):
            it.load()
            it.postgres.stop("immediate")
            ended = time.monotonic()
            it.postgres.start()
            it.recover(ended)
            if it.lost:
                break
        assert it.finish(1).lost > 0
