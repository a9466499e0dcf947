"""The two ends of the logical replication of raw: how they are found, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from collector.connection import described, open_connection
from collector.settings import ROOT
from scripts.lib.base.cli import UserError

NAME = "headwater"  # of the publication and of the subscription
CONNECT_SECONDS = 10
_SLOTS = (ROOT / "collector" / "queries" / "replication.sql").read_bytes()
_IDENTITY = """
    select system_identifier, pg_database.oid, session_user
    from pg_control_system()
    cross join pg_database
    where datname = current_database()
"""
_SUBSCRIPTION = """
    select
        subscription.subslotname as slot_name,
        subscription.subenabled as is_enabled,
        coalesce(counts.apply_error_count + counts.sync_error_count, 0) as errors,
        round(extract(epoch from now() - worker.latest_end_time))::bigint as confirmed_seconds_ago,
        worker.pid is not null as is_running
    from pg_subscription as subscription
    inner join pg_database on subscription.subdbid = pg_database.oid
    left join pg_stat_subscription_stats as counts on subscription.oid = counts.subid
    left join pg_stat_subscription as worker
        on subscription.oid = worker.subid and worker.relid is null and worker.pid is not null
    where pg_database.datname = current_database() and subscription.subname = 'headwater'
    limit 1
"""
_HEARTBEATS = """
    select raw.missed_heartbeats(), round(extract(epoch from now() - max(sent_at)))::bigint
    from raw.heartbeats
"""
_POSITION = "select pg_current_wal_lsn()::text"
_CONFIRMED = """
    select confirmed_flush_lsn >= %s::pg_lsn from pg_replication_slots where slot_name = %s
"""
COPIED = "replicating"
_TABLES = """
    select
        pg_subscription_rel.srrelid::regclass::text,
        case pg_subscription_rel.srsubstate when 'r' then 'replicating' else 'being copied' end
    from pg_subscription_rel
    inner join pg_subscription on pg_subscription_rel.srsubid = pg_subscription.oid
    inner join pg_database on pg_subscription.subdbid = pg_database.oid
    where pg_database.datname = current_database() and pg_subscription.subname = 'headwater'
    order by 1
"""


class Slot(NamedTuple):
    """What a source keeps for one destination; `lag_bytes` of WAL are not confirmed by it."""

    slot_name: str
    active: bool
    wal_status: str | None
    lag_bytes: int | None

    @property
    def is_lost(self) -> bool:
        """Whether the source gave up keeping WAL for it (max_slot_wal_keep_size)."""
        return self.wal_status == "lost" or self.lag_bytes is None


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a destination reads: since when it has last confirmed, and its errors so far."""

    slot_name: str | None
    is_enabled: bool
    is_running: bool
    confirmed_seconds_ago: int | None
    errors: int


@dataclass(frozen=True, slots=True)
class End:
    """One of the two databases, connected; `name` is source or destination."""

    name: str
    connection: psycopg.Connection[Any]
    cluster: int
    database: int
    role: str

    def slots(self) -> list[Slot]:
        """The slots of destinations of this source."""
        return [Slot(*row) for row in self.connection.execute(_SLOTS)]

    def position(self) -> str:
        """Where the WAL of this source is now."""
        return str(*self.connection.execute(_POSITION).fetchone() or ())

    def has_confirmed(self, slot_name: str | None, position: str) -> bool:
        """Whether the destination of a slot of this source has all that it had at a position."""
        return self.connection.execute(_CONFIRMED, [position, slot_name]).fetchone() == (True,)

    def subscription(self) -> Subscription | None:
        """The subscription of this destination; None where there is none."""
        with self.connection.cursor(row_factory=class_row(Subscription)) as cursor:
            return cursor.execute(_SUBSCRIPTION).fetchone()

    def tables(self) -> list[tuple[str, str]]:
        """The replicated tables of this destination, and how far each is."""
        return self.connection.execute(_TABLES).fetchall()

    def heartbeats(self) -> tuple[int, int | None]:
        """How many of the source's this destination lacks, and how many seconds old the last is."""
        missed, seconds = self.connection.execute(_HEARTBEATS).fetchone() or (0, None)
        return int(missed), seconds

    @property
    def slot_name(self) -> str:
        """Name of the slot of this destination: one source can have several."""
        return f"{NAME}_{self.cluster}_{self.database}"

    @contextmanager
    def asked(self, hint: str = "") -> Iterator[None]:
        """Has what this side refuses end in one line: a UserError with `hint`."""
        try:
            yield
        except psycopg.Error as error:
            reason = (error.diag.message_primary or str(error)).strip().splitlines()[0]
            raise UserError(f"the {self.name} says: {reason}. {hint}".strip()) from error


@contextmanager
def opened(name: str, database_url: str) -> Iterator[End]:
    """Connects to one side. Raises UserError where it does not answer."""
    try:
        connection = open_connection(database_url, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        variable = f"{name.upper()}_DATABASE_URL"
        raise UserError(
            f"the {name} ({described(database_url)}) is unreachable: {reason}. Check {variable}."
        ) from error
    with connection:
        yield End(name, connection, *connection.execute(_IDENTITY).fetchone() or ())


def lag_text(source_url: str, destination_url: str) -> str:
    """How far a replicated destination is behind, in a line; empty where nothing is replicated."""
    with opened("destination", destination_url) as destination:
        if not (subscription := destination.subscription()):
            return ""
        seconds = subscription.confirmed_seconds_ago
        heard = "never" if seconds is None else f"{seconds:,} s ago"
        try:
            with opened("source", source_url) as source:
                slots = [
                    slot for slot in source.slots() if slot.slot_name == subscription.slot_name
                ]
        except UserError:
            return f"raw is replicated; the source is unreachable, last heard of {heard}"
    if not slots or slots[0].is_lost:
        return "raw is no longer replicated: see scripts/link --status"
    return f"raw is replicated, {slots[0].lag_bytes:,} bytes behind, last heard of {heard}"
