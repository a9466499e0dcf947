"""What scripts/status found, as metrics of Prometheus: `scripts/status --textfile`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from collector import __version__
from scripts.lib.base.cli import UserError
from scripts.lib.status.builds import STATES, Status


def write_metrics(file: str, status: Status) -> None:
    """Writes `status` as metrics of Prometheus, for the textfile collector of its node_exporter.

    The file is replaced as a whole. Raises UserError where it cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"headwater_{name}", meaning, labels, registry=registry)

    gauge("info", "The installed version", "version").labels(__version__).set(1)
    state = gauge("builds_status", "1 for how it is about the builds, 0 for the others", "status")
    for name in STATES:
        state.labels(name).set(name == status.status)
    if status.last_good:
        gauge("last_good_build_timestamp_seconds", "When the last good build began").set(
            status.last_good.timestamp()
        )
    if status.failures is not None:
        gauge("last_build_failures", "What failed or was skipped in the last build").set(
            status.failures
        )
    rows = gauge("unread_rows", "Rows of raw that are in no build yet", "table")
    age = gauge("unread_seconds", "How long ago the oldest of them was received", "table")
    for table, unread, seconds in status.lag:
        rows.labels(table).set(unread)
        age.labels(table).set(seconds)
    ahead = gauge("partitions_ahead", "Months that raw.events has partitions for", "database")
    for database, months in status.partitions.items():
        ahead.labels(database).set(months)
    try:
        write_to_textfile(file, registry)
    except OSError as error:
        raise UserError(f"--textfile {file} cannot be written: {error.strerror}") from error
