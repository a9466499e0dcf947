"""Reads how the pipeline is: the builds of dbt, what failed in them, up to when the data are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.rows import tuple_row

from scripts.lib.dbt.reports import Connection

_BUILDS = (Path(__file__).parent / "builds.sql").read_bytes()
# Of builds of everything, as scripts/status has it; of parts where there is none.
_DATA_UP_TO = """
    select coalesce(
        max(greatest(as_of, checked_at)) filter (where is_whole and failures = 0),
        max(as_of) filter (where failures = 0)
    )
    from builds
"""
# Tests and models that failed or warned in the newest builds, with when they did first and last.
_FAILED = """
    select
        failed.node,
        (array_agg(failed.status order by builds.build_id desc))[1] as status,
        count(*) as builds,
        min(builds.started_at) as first_at,
        max(builds.started_at) as last_at
    from failed_nodes as failed
    inner join builds using (build_id)
    where builds.build_id > (select max(build_id) - 1000 from builds)
    group by 1
    order by last_at desc, builds desc, node
    limit 50
"""


@dataclass(frozen=True, slots=True)
class Build:
    """A run of dbt. `failures` are what failed or was skipped for it, null until it ends.

    `is_whole` says whether it built and tested everything; `models` counts incremental models that
    none has advanced since.
    """

    invocation_id: str
    as_of: datetime
    started_at: datetime
    finished_at: datetime | None
    failures: int | None
    is_whole: bool | None
    models: int

    @property
    def result(self) -> str:
        """How it ended, in words."""
        if self.failures is None:
            return "runs, or was killed"
        part = "" if self.is_whole else " (a part)"
        return f"{self.failures} failed or were skipped{part}" if self.failures else f"good{part}"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The newest builds, and tests and models that failed in the last thousand.

    `data_up_to` is when the last good build began, or last found nothing new.
    """

    builds: list[Build]
    failed: list[dict[str, Any]]
    data_up_to: datetime | None

    @property
    def failed_build(self) -> Build | None:
        """The last build of everything that ended, if it failed."""
        ended = [build for build in self.builds if build.is_whole and build.finished_at]
        return ended[0] if ended and ended[0].failures else None


def read_pipeline(connection: Connection) -> Pipeline:
    """Reads what builds left in the database."""
    [[up_to]] = connection.cursor(row_factory=tuple_row).execute(_DATA_UP_TO).fetchall()
    return Pipeline(
        [Build(**row) for row in connection.execute(_BUILDS).fetchall()],
        connection.execute(_FAILED).fetchall(),
        up_to,
    )
