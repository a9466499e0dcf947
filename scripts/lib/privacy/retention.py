"""Drops from raw what is old and what all that read it have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql
from psycopg.errors import LockNotAvailable

from scripts.lib.lake.registry import lakes, xid_origin
from scripts.lib.privacy.people import Connection, statement, targets
from scripts.lib.privacy.place import Place

LOCK_TIMEOUT = "2s"  # inserts wait as long, while somebody reads raw.events
_UNFINISHED = "select 1 from raw.erasures where state <> 'finished'"
_SIZE = """
    select count(*), pg_total_relation_size(%s::regclass) from raw.{partition}
"""
_COUNT = "select count(*) from raw.{partition}"
_HORIZON = "select pg_snapshot_xmin(pg_current_snapshot())::text"
_CAME_SINCE = "select count(*) from raw.{partition} where loaded_xid >= %s::text::xid8"
_REFUSED = """
    select count(*), coalesce(sum(octet_length(payload)), 0)::bigint from raw.rejected_events
    where received_at < now() - make_interval(days => %(days)s) and payload not like 'erased %%'
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A month of raw.events in one database, and why it cannot go; empty where it can.

    `horizon` is the transaction below which all rows were there when that was looked at.
    """

    where: str
    connection: Connection
    name: str
    row_count: int
    size: int
    horizon: str
    reason: str


def old_partitions(place: Place, days: int) -> Iterator[Partition]:
    """Months that ended `days` days ago, in both databases; the destination's first."""
    databases = {"source": place.source}
    if place.ends:
        databases = {"destination": place.destination, **databases}
    for where, connection in databases.items():
        rows = connection.execute(statement("partitions"), {"days": days}).fetchall()
        for (name,) in rows:
            [horizon] = connection.execute(_HORIZON).fetchone() or ("",)
            size = connection.execute(_of(_SIZE, name), [f"raw.{name}"]).fetchone() or (0, 0)
            reason = _reason(place, connection, name)
            yield Partition(where, connection, name, size[0], size[1], horizon, reason)


def drop(partition: Partition) -> str:
    """Drops a partition, and returns why it could not; empty where it did."""
    connection = partition.connection
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            connection.execute("lock table raw.events in access exclusive mode")
            since = connection.execute(_of(_CAME_SINCE, partition.name), [partition.horizon])
            if since.fetchone() != (0,):
                return "rows came while it was looked at: run this again"
            connection.execute(_of("drop table raw.{partition}", partition.name))
    except LockNotAvailable:
        [holders] = connection.execute(statement("holders")).fetchone() or (None,)
        return f"raw.events is in use by {holders or 'somebody'}: run this again"
    return ""


def refused(source: Connection, days: int) -> tuple[int, int]:
    """How many rows were refused `days` days ago whose text is kept, and its bytes."""
    return source.execute(_REFUSED, {"days": days}).fetchone() or (0, 0)


def thin_refused(place: Place, days: int) -> int:
    """Drops the text of what was refused `days` days ago, and returns of how many rows."""
    count = 0
    for connection in {id(each): each for each in (place.destination, place.source)}.values():
        count = connection.execute(statement("thin_refused"), {"days": days}).rowcount
    return count


def _reason(place: Place, connection: Connection, name: str) -> str:
    """Why a partition is still needed; empty where it is not."""
    if place.source.execute(_UNFINISHED).fetchone():
        return "an erasure is unfinished: scripts/erase --resume"
    exported_to = lakes(connection)
    for lake in exported_to:
        is_known = lake.origin == xid_origin(connection)
        below = [str(lake.below_xid if is_known else 0)]
        [count] = connection.execute(_of(_CAME_SINCE, name), below).fetchone() or (0,)
        if count:
            return f"{count:,} of its rows are not in the lake {lake.uri}: scripts/export"
    if place.ends and connection is place.source:
        return _reason_to_keep_in_source(place, name)
    built = targets(connection)
    if not built and not exported_to:
        return "nothing is built yet: scripts/dbt build"
    for target in built:
        query = target.fill(statement("unbuilt_rows"), partition=sql.Identifier(name))
        [unbuilt] = connection.execute(query).fetchone() or (0,)
        if unbuilt:
            return f"{unbuilt:,} of its rows are not built in {target.staging}"
    return ""


def _reason_to_keep_in_source(place: Place, name: str) -> str:
    """Also destinations that are not this one's have to have its rows."""
    if not place.ends:
        return ""
    source = place.ends[0]
    position = source.position()
    place.await_arrival(lambda _: None)
    for slot in source.slots():
        if not source.has_confirmed(slot.slot_name, position):
            return f"the destination {slot.slot_name} has not got what the source has"
    there = place.destination.execute("select to_regclass(%s)", [f"raw.{name}"]).fetchone()
    if there == (None,):  # it was built and dropped there
        return ""
    counts = [
        connection.execute(_of(_COUNT, name)).fetchone()
        for connection in (place.source, place.destination)
    ]
    if counts[0] != counts[1]:
        return "the destination has other rows: scripts/link --check"
    return _reason(place, place.destination, name)


def _of(query: LiteralString, name: str) -> sql.Composed:
    return sql.SQL(query).format(partition=sql.Identifier(name))
