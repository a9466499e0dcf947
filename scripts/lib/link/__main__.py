"""Replicates raw from the source to a destination that is another database: `scripts/link`."""

from __future__ import annotations

from collector.connection import described
from scripts.lib.base.cli import UserError, between, parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.replication import opened
from scripts.lib.link.check import ALL_DAYS, check
from scripts.lib.link.make import foretell_copy, link, require_fit
from scripts.lib.link.remove import foretell_removal, unlink
from scripts.lib.link.status import show_status
from scripts.lib.migrate import migrate_all

NEEDS = """Both servers are PostgreSQL 15 or newer, and the source has wal_level = logical.
MIGRATION_DATABASE_URL (default: SOURCE_DATABASE_URL) is the owner of raw there, with REPLICATION.
DESTINATION_DATABASE_URL is the owner of raw in the destination and may make subscriptions: a
superuser or, from PostgreSQL 16 on, one with pg_create_subscription and create on the database.
The destination reaches the source by --connection, as a role with REPLICATION that may read raw."""


def main() -> int:
    """`scripts/link`."""
    arguments = parser(
        "link",
        "Replicate raw from SOURCE_DATABASE_URL to DESTINATION_DATABASE_URL, where dbt builds.\n"
        "Migrates both first. Safe to repeat.\n\n" + NEEDS,
    )
    arguments.add_argument(
        "--connection",
        metavar="URL",
        help="how the destination reaches the source (default: as this script does)",
    )
    does = arguments.add_mutually_exclusive_group()
    does.add_argument("--status", action="store_true", help="say how far the destination is")
    does.add_argument(
        "--check",
        type=between(1, ALL_DAYS),
        nargs="?",
        const=ALL_DAYS,
        metavar="DAYS",
        help="compare rows and checksums of each day, of the last DAYS or all, on both sides",
    )
    does.add_argument("--replace", action="store_true", help="empty raw there and copy it anew")
    does.add_argument("--remove", action="store_true", help="undo it; the rows stay on both sides")
    arguments.add_argument(
        "--dry-run",
        action="store_true",
        help="only say what --replace or --remove would do",
    )
    options = arguments.parse_args()
    if options.dry_run and not (options.replace or options.remove):
        arguments.error("--dry-run goes with --replace or --remove, which destroy something")
    settings = read_settings()
    with open_databases(settings, migrated=False) as databases:
        if databases.embedded:
            raise UserError("set SOURCE_DATABASE_URL and DESTINATION_DATABASE_URL, see --help")
        if options.status:
            return show_status(databases)
        if options.check:
            return check(databases, options.check, settings.alert_webhook_url)
        if options.remove:
            return foretell_removal(databases) if options.dry_run else unlink(databases)
        with (
            opened("source", databases.migration) as source,
            opened("destination", databases.destination) as destination,
        ):
            require_fit(source, destination)
            if options.dry_run:
                return foretell_copy(source, destination)
            for url, applied in migrate_all(databases).items():
                say(f"{described(url)}: {', '.join(applied) or 'up to date'}")
            link(
                source,
                destination,
                options.connection or databases.migration,
                is_given=options.connection is not None,
                replace=options.replace,
            )
    return 0


if __name__ == "__main__":
    run(main)
