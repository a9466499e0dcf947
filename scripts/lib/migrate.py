"""Applies the migrations of the raw schema: `scripts/migrate`."""

from __future__ import annotations

from collector.migrate import migrate
from collector.settings import Settings
from scripts.lib.cli import parser, read_settings, run
from scripts.lib.database import Databases, described, open_databases


def migrate_all(databases: Databases) -> dict[str, list[str]]:
    """Migrates each distinct database and returns what was applied to which.

    The destination goes first: where raw is replicated to it, a partition or column that it lacks
    stops the replication.
    """
    urls = [databases.migration]
    if databases.destination != databases.source:
        urls.insert(0, databases.destination)
    return {url: migrate(url) for url in dict.fromkeys(urls)}


def main() -> int:
    """`scripts/migrate`."""
    parser(
        "migrate",
        "Bring the raw schema of every configured database up to date: safe to repeat and to\n"
        "race. MIGRATION_DATABASE_URL names the owner's connection where the others may not.",
    ).parse_args()
    settings: Settings = read_settings()
    with open_databases(settings, migrated=False) as databases:
        for url, applied in migrate_all(databases).items():
            print(f"{described(url)}: {', '.join(applied) or 'up to date'}")  # noqa: T201
    return 0


if __name__ == "__main__":
    run(main)
