"""Makes and renews the replication of raw: publication, slot and subscription."""

from __future__ import annotations

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedObject

from scripts.lib.base.cli import UserError, counted, say
from scripts.lib.base.replication import NAME, End, Subscription
from scripts.lib.link.remove import drop_slots, forget_subscription

HEARTBEATS = "raw.heartbeats"
OLDEST_VERSION = 150_000  # publications with a column list
_RAW_TABLES = """
    select format('%I.%I', schemaname, tablename)
    from pg_publication_tables where pubname = 'headwater' order by 1
"""
# What raw.renew_publication() publishes.
_REPLICATED = """
    select pg_class.oid::regclass::text
    from pg_class
    inner join pg_attribute on pg_class.oid = pg_attribute.attrelid
    where pg_class.relnamespace = to_regnamespace('raw')
        and pg_class.relkind in ('r', 'p')
        and not pg_class.relispartition
        and pg_attribute.attname = 'loaded_xid'
    order by 1
"""
_MAY_READ = """
    select has_schema_privilege(%s, 'raw', 'usage')
        and bool_and(has_table_privilege(%s, name, 'select'))
    from unnest(%s::text[]) as name
"""


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


def foretell_copy(source: End, destination: End) -> int:
    """Says what `link` would empty and copy anew with `replace`, and returns 0.

    Counts all rows on both sides. Raises UserError where one of them cannot tell.
    """
    if subscription := destination.subscription():
        say(
            f"destination: would drop the subscription {NAME}, to the slot {subscription.slot_name}"
        )
    for (table,) in destination.connection.execute(_REPLICATED).fetchall():
        emptied, copied = _count(destination, table), _count(source, table)
        gone, come = counted(emptied, "row"), counted(copied, "row")
        say(f"destination: would empty {table}, {gone}, and copy {come}")
    say("The marts would stay as they are. Nothing was changed.")
    return 0


def _count(end: End, table: str) -> int:
    with end.asked("It takes the owner of raw, and scripts/migrate after an update."):
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
        rows = end.connection.execute(query).fetchone()
    return int(rows[0]) if rows else 0


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
