"""Says whether builds succeed and come on time: `scripts/status`, for monitoring."""

from __future__ import annotations

from datetime import timedelta

from scripts.lib.base.alert import alert
from scripts.lib.base.cli import between, parser, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import MAX_AGE
from scripts.lib.dbt.target import layer_schema, read_target
from scripts.lib.status.alerts import tell_alerts
from scripts.lib.status.builds import builds_status, with_partitions
from scripts.lib.status.freshness import stale_sources
from scripts.lib.status.metrics import write_metrics
from scripts.lib.status.unwritable import show_unwritable_rows


def main() -> int:
    """`scripts/status`."""
    arguments = parser(
        "status",
        "Say whether the last dbt build of everything succeeded and is recent. Where not, exit\n"
        "with 1 and post what is wrong to ALERT_WEBHOOK_URL, if that is set, as JSON with\n"
        "the members status (failed, missed, unreachable or partitions), database and text.",
    )
    arguments.add_argument(
        "--max-age",
        type=between(1, 525_600),
        default=MAX_AGE // timedelta(minutes=1),
        metavar="MINUTES",
        help="how long ago the last good build may have begun (%(default)s)",
    )
    arguments.add_argument(
        "--textfile",
        metavar="FILE",
        help="also write it as metrics, for the textfile collector of Prometheus' node_exporter",
    )
    arguments.add_argument(
        "--raw",
        action="store_true",
        help="look through all of raw instead, for rows that cannot be written out",
    )
    arguments.add_argument(
        "--alerts",
        action="store_true",
        help="post alerts of the seed alerts that started or are over instead, as builds do",
    )
    options = arguments.parse_args()
    settings = read_target()
    with open_databases(settings, migrated=False) as databases:
        if options.raw:
            return show_unwritable_rows(dict.fromkeys((databases.migration, databases.destination)))
        if options.alerts:
            tell_alerts(settings, databases.destination)
            return 0
        age = timedelta(minutes=options.max_age)
        status = builds_status(databases.destination, age, layer_schema(settings, "staging"))
        status = with_partitions(status, databases.source, databases.destination)
        stale = stale_sources(databases.destination, layer_schema(settings, "reports"))
    say(f"{status.status}: {status.text}")
    for source in stale:
        say(f"freshness {source}")
    if options.textfile:
        write_metrics(options.textfile, status)
    if status.status == "ok":
        return 0
    alert(settings.alert_webhook_url, status.status, status.database, status.text)
    return 1


if __name__ == "__main__":
    run(main)
