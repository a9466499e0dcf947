"""Applies the migrations of the raw schema: `scripts/migrate`."""

from __future__ import annotations

import psycopg

from collector.connection import described
from collector.migrate import migrate
from scripts.lib.base.cli import UserError, parser, read_settings, run, say
from scripts.lib.base.database import Databases, open_databases, require_sessions
from scripts.lib.base.replication import NAME, opened
from scripts.lib.base.settings import Settings

_DESTINATION = "DESTINATION_DATABASE_URL"


def migrate_all(databases: Databases) -> dict[str, list[str]]:
    """Migrates each distinct database and returns what was applied to which.

    The destination goes first: where raw is replicated to it, a partition or column that it lacks
    stops the replication. Raises UserError where a role may not, or a pooler is in between.
    """
    urls = [databases.migration]
    if databases.destination != databases.source:
        urls.insert(0, databases.destination)
    applied = {}
    for url in dict.fromkeys(urls):
        require_sessions(url, "MIGRATION_DATABASE_URL" if url == urls[-1] else _DESTINATION)
        try:
            applied[url] = migrate(url)
        except psycopg.errors.InsufficientPrivilege as error:
            raise UserError(
                f"{described(url)}: {error.diag.message_primary}. Migrations take the owner of "
                "raw: MIGRATION_DATABASE_URL in the source, DESTINATION_DATABASE_URL elsewhere."
            ) from error
    return applied


def follow_publication(databases: Databases) -> None:
    """Has a destination of its own copy the tables that are new. Raises UserError."""
    with opened("destination", databases.destination) as destination:
        subscription = destination.subscription()
        if subscription and subscription.is_enabled:
            with destination.asked("Can the destination reach the source? See scripts/link."):
                destination.connection.execute(
                    f"alter subscription {NAME} refresh publication".encode()
                )


def main() -> int:
    """`scripts/migrate`."""
    parser(
        "migrate",
        "Bring the raw schema of every configured database up to date: safe to repeat and to\n"
        "race. It takes the owner of raw: MIGRATION_DATABASE_URL in the source, and\n"
        "DESTINATION_DATABASE_URL in a destination of its own, which goes first.",
    ).parse_args()
    settings: Settings = read_settings()
    with open_databases(settings, migrated=False) as databases:
        for url, applied in migrate_all(databases).items():
            say(f"{described(url)}: {', '.join(applied) or 'up to date'}")
        if databases.destination != databases.source:
            follow_publication(databases)
    return 0


if __name__ == "__main__":
    run(main)
