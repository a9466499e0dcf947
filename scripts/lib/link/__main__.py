"""Replicates raw from the source to a destination that is another database: `scripts/link`."""

from __future__ import annotations

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedObject

from collector.connection import described
from scripts.lib.base.cli import UserError, parser, read_settings, run
from scripts.lib.base.database import Databases, open_databases
from scripts.lib.base.replication import (
    NAME,
    End,
    Subscription,
    drop_slots,
    errors_go_on,
    opened,
    say,
)
from scripts.lib.link.check import ALL_DAYS, check
from scripts.lib.link.remove import forget_subscription, unlink
from scripts.lib.migrate import migrate_all

HEARTBEATS = "raw.heartbeats"
OLDEST_VERSION = 150_000  # publications with a column list
_RAW_TABLES = """
    select format('%I.%I', schemaname, tablename)
    from pg_publication_tables where pubname = 'headwater' order by 1
"""
_MAY_READ = """
    select has_schema_privilege(%s, 'raw', 'usage')
        and bool_and(has_table_privilege(%s, name, 'select'))
    from unnest(%s::text[]) as name
"""
NEEDS = """Both servers are PostgreSQL 15 or newer, and the source has wal_level = logical.
MIGRATION_DATABASE_URL (default: SOURCE_DATABASE_URL) is the owner of raw there, with REPLICATION.
DESTINATION_DATABASE_URL is the owner of raw in the destination and may make subscriptions: a
superuser or, from PostgreSQL 16 on, one with pg_create_subscription and create on the database.
The destination reaches the source by --connection, as a role with REPLICATION that may read raw."""


def require_fit(source: End, destination: End) -> None:
    """Raises UserError where the two cannot be linked, before anything is changed."""
    if (source.cluster, source.database) == (destination.cluster, destination.database):
        raise UserError(
            "source and destination are the same database, where dbt reads raw directly: nothing "
            "is to be replicated. Set SOURCE_DATABASE_URL and DESTINATION_DATABASE_URL."
        )
    for end in (source, destination):
        if end.connection.info.server_version < OLDEST_VERSION:
            raise UserError(f"the {end.name} is older than PostgreSQL 15: update it")
    level = end_setting(source, "wal_level")
    if level != "logical":
        raise UserError(
            f"wal_level of the source is {level}. As a superuser there: "
            "alter system set wal_level = logical, and restart the server."
        )


def end_setting(end: End, name: str) -> str:
    """A setting of PostgreSQL on one side."""
    row = end.connection.execute("select current_setting(%s)", [name]).fetchone()
    return str(row[0]) if row else ""


def link(source: End, destination: End, connection: str, *, is_given: bool, replace: bool) -> None:
    """Makes what is missing and renews what a migration may have changed. Raises UserError.

    `connection` is how the destination reaches the source; that of a subscription that exists is
    only changed where it `is_given`. With `replace` all of raw is copied anew.
    """
    tables = publish(source)
    subscription = destination.subscription()
    if subscription and not replace:
        _require_slot(source, destination, subscription)
        with destination.asked("Can the destination reach the source? See --connection."):
            if is_given:
                destination.connection.execute(
                    _statement("alter subscription {} connection {}", connection)
                )
            destination.connection.execute(_statement("alter subscription {} enable"))
            destination.connection.execute(_statement("alter subscription {} refresh publication"))
        say(f"destination: the subscription {NAME} is up to date")
        return
    _require_reader(source, connection, tables)
    if not replace:
        _require_empty(destination, tables)
    if subscription:
        forget_subscription(destination)
        drop_slots(source, destination.slot_name)
    _subscribe(source, destination, connection, tables)


def publish(source: End) -> list[str]:
    """Makes or renews the publication, and returns the tables that it has."""
    with source.asked("It takes the owner of raw: set MIGRATION_DATABASE_URL."):
        execute = source.connection.execute
        if not execute("select 1 from pg_publication where pubname = %s", [NAME]).fetchone():
            options = "(publish = 'insert', publish_via_partition_root = true)"
            execute(_statement("create publication {} with " + options))
        execute("select raw.renew_publication()")
        tables = [name for (name,) in execute(_RAW_TABLES)]
    say(f"source: the publication {NAME} has {', '.join(tables)}")
    return tables


def _require_slot(source: End, destination: End, subscription: Subscription) -> None:
    """Refuses a subscription whose place in the source's WAL is gone, or another destination's."""
    slots = [slot for slot in source.slots() if slot.slot_name == subscription.slot_name]
    if subscription.slot_name != destination.slot_name or not slots or slots[0].is_lost:
        raise UserError(
            f"the slot {subscription.slot_name}, from which the destination reads, is gone or not "
            "this destination's: after a failover or a restore, or when it fell too far behind. "
            "scripts/link --replace empties raw in the destination and copies it anew."
        )


def _require_reader(source: End, connection: str, tables: list[str]) -> None:
    role = conninfo_to_dict(connection).get("user") or source.role
    try:
        values = (role, role, tables)
        may_read = source.connection.execute(_MAY_READ.encode(), values).fetchone() == (True,)
    except UndefinedObject:
        may_read = False
    if not may_read:
        raise UserError(
            f"the role {role} may not read raw in the source: grant headwater_transformer to {role}"
        )


def _require_empty(destination: End, tables: list[str]) -> None:
    for table in tables:
        if table == HEARTBEATS:  # the source's, which are copied with what they count
            continue
        name = sql.Identifier(*table.split("."))
        first = sql.SQL("select 1 from {} limit 1").format(name)
        if destination.connection.execute(first).fetchone():
            raise UserError(
                f"{table} of the destination has rows already. scripts/link --replace empties raw "
                "there and copies all of the source; the marts stay as they are, and the next "
                "build compares them with raw."
            )


def _subscribe(source: End, destination: End, connection: str, tables: list[str]) -> None:
    slot = destination.slot_name
    with source.asked(f"As a superuser there: alter role {source.role} replication"):
        make = "select pg_create_logical_replication_slot(%s, 'pgoutput')"
        source.connection.execute(make, [slot])
    try:
        with (
            destination.asked(
                "The destination has to reach the source (--connection) as a role with "
                "REPLICATION, and its own role has to be allowed subscriptions; see --help."
            ),
            destination.connection.transaction(),
        ):
            destination.connection.execute(f"truncate {', '.join(tables)}".encode())
            # The slot is there already: made by the subscription, it would wait for this very
            # transaction where both databases are on one server.
            options = "(create_slot = false, slot_name = {})"
            create = "create subscription {} connection {} publication headwater with " + options
            destination.connection.execute(_statement(create, connection, slot))
    except UserError:
        drop_slots(source, slot)
        raise
    say(f"source: made the slot {slot}")
    say(f"destination: made the subscription {NAME}; raw is being copied and then kept up to date")
    say("scripts/link --status says how far it is")


def _statement(text: str, *texts: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(NAME), *map(sql.Literal, texts))


def show_status(databases: Databases) -> int:
    """Prints how the replication stands; returns 1 where something needs attention."""
    with (
        opened("destination", databases.destination) as destination,
        opened("source", databases.migration) as source,
    ):
        subscription = destination.subscription()
        slots = {slot.slot_name: slot for slot in source.slots()}
        problems = []
        for name, slot in slots.items():
            state = "lost" if slot.is_lost else "read" if slot.active else "read by nobody"
            say(f"source: slot {name}, {state}, {slot.lag_bytes or 0:,} bytes behind")
        if subscription is None:
            raise UserError("the destination has no subscription: run scripts/link")
        for table, state in destination.tables():
            say(f"destination: {table} is {state}")
        own = slots.get(subscription.slot_name or "")
        if own is None or own.is_lost:
            problems.append("the source keeps no WAL for the destination: scripts/link --replace")
        elif not subscription.is_enabled:
            problems.append("the subscription is disabled: scripts/link enables it")
        elif not subscription.is_running or not own.active:
            problems.append("the destination does not read: its server's log says why")
        elif subscription.errors and errors_go_on(source, destination):
            problems.append(
                "the destination fails again and again: the logs of both servers say why. Rows "
                "with numbers too long to be sent: scripts/status --raw"
            )
        missed, beat_seconds = destination.heartbeats()
        if beat_seconds is not None:
            say(f"destination: has what the collector landed {beat_seconds:,} s ago")
        if missed:
            problems.append(
                f"the destination lacks {missed:,} heartbeats of the source, and rows of their "
                "time, as one restored from a snapshot of its disk does: scripts/link --replace"
            )
        seconds = subscription.confirmed_seconds_ago
        last = "never heard of" if seconds is None else f"last heard of {seconds:,} s ago"
        say(f"destination: source {last}, {subscription.errors:,} errors so far")
    for problem in problems:
        say(f"wrong: {problem}")
    return 1 if problems else 0


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= ALL_DAYS:
        raise ValueError
    return days


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
        type=_days,
        nargs="?",
        const=ALL_DAYS,
        metavar="DAYS",
        help="compare rows and checksums of each day, of the last DAYS or all, on both sides",
    )
    does.add_argument("--replace", action="store_true", help="copy all of raw anew")
    does.add_argument("--remove", action="store_true", help="undo it; the rows stay on both sides")
    options = arguments.parse_args()
    with open_databases(read_settings(), migrated=False) as databases:
        if databases.embedded:
            raise UserError("set SOURCE_DATABASE_URL and DESTINATION_DATABASE_URL, see --help")
        if options.status:
            return show_status(databases)
        if options.check:
            return check(databases, options.check)
        if options.remove:
            return unlink(databases)
        with (
            opened("source", databases.migration) as source,
            opened("destination", databases.destination) as destination,
        ):
            require_fit(source, destination)
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
