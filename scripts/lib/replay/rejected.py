"""Sends what the collector refused once more, after a fix: `scripts/replay --rejected`."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from collector.connection import open_connection
from collector.quarantine import MAX_QUARANTINED_BYTES
from scripts.lib.base.cli import UserError, open_console, plain
from scripts.lib.base.client import Client, Receipt, encode
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.keys import create_key, revoke_key

KEY_SECONDS = 10  # a running collector knows of a new key within two
_LOCK = "select pg_try_advisory_lock(hashtext('headwater'), hashtext('replay --rejected'))"
_SELECTED = """
    resent_at is null and put_away_at is null
    and (%(code)s::text is null or code = %(code)s)
    and (%(source)s::text is null or source = %(source)s)
    and (%(since)s::timestamptz is null or received_at >= %(since)s)
"""
_SOURCES = f"""
    select source, max(rejected_row_id) from raw.rejected_events
    where {_SELECTED}
    group by source order by source
"""  # noqa: S608
_ROWS = f"""
    select rejected_row_id, received_at, code, route, payload from raw.rejected_events
    where {_SELECTED} and rejected_row_id > %(after)s and rejected_row_id <= %(last)s
    order by rejected_row_id limit 1000
"""  # noqa: S608
_MARK = "update raw.rejected_events set resent_at = now() where rejected_row_id = any(%s)"
_PUT_AWAY = f"""
    with put_away as (
        update raw.rejected_events set put_away_at = now() where {_SELECTED} returning source, code
    )
    select source, code, count(*) from put_away group by 1, 2 order by 1, 2
"""  # noqa: S608
Selected = dict[str, Any]  # code, source and since of the refused events; None does not matter
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class Resent:
    """What became of the refused events of one source, counted.

    `refused` is by the code that the collector gave this time. `unsendable` were not sent, by
    reason: nothing can be done about them here.
    """

    source: str
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unsendable: Counter[str] = field(default_factory=Counter)


class _UnsendableError(Exception):
    """Why a refused event cannot be sent."""


class _Row(NamedTuple):
    row_id: int
    received_at: datetime
    code: str
    route: str | None
    payload: str

    @property
    def is_message(self) -> bool:
        """Whether it is one of Segment's SDKs, sent to /v1."""
        return self.route is not None and self.route.startswith("/v1/")


def resend(database_url: str, url: str, selection: Selected) -> Iterator[Resent]:
    """Sends the refused events of a source database to the collector at `url`, source by source.

    Each keeps its source, since a key by that name is made for the moment. One without an eventId
    gets one made of its row, and one without an occurredAt gets the time at which it was refused:
    sent again, in this run or the next, it is the same event. Each goes to where it came in. What
    is accepted is marked; what is refused once more stays as it is, and adds no further row.

    Raises UserError where another run is at it or the collector is of another database,
    CollectorError where it stays unreachable.
    """
    with (
        open_connection(database_url, autocommit=True) as connection,
        closing(Client(url)) as client,
    ):
        client.check()
        if connection.execute(_LOCK).fetchone() != (True,):
            raise UserError("another scripts/replay --rejected is running")
        for source, last in connection.execute(_SOURCES, selection).fetchall():
            resent = Resent(source)
            with _key_of(connection, source, url) as key, closing(Client(url, key)) as sender:
                wanted = selection | {"source": source, "last": last, "after": 0}
                while rows := [_Row(*row) for row in connection.execute(_ROWS, wanted)]:
                    _resend_rows(connection, sender, rows, resent)
                    wanted["after"] = rows[-1].row_id
            yield resent


def _resend_rows(
    connection: psycopg.Connection, client: Client, rows: list[_Row], resent: Resent
) -> None:
    for is_message, group in groupby(rows, key=lambda row: row.is_message):
        events = []
        for row in group:
            try:
                events.append((row.row_id, _message(row) if is_message else _event(row)))
            except _UnsendableError as reason:
                resent.unsendable[str(reason)] += 1
        path = "/v1/batch" if is_message else "/events"
        # First without storing: what is refused again would be kept once more.
        trial = client.validate(path, [text for _, text in events])
        left = _accepted(events, trial, resent)
        receipt = client.send(path, [text for _, text in left])
        resent.accepted += receipt.accepted
        done = [row_id for row_id, _ in _accepted(left, receipt, resent)]
        connection.execute(_MARK, [done])


def _accepted(
    events: list[tuple[int, bytes]], receipt: Receipt, resent: Resent
) -> list[tuple[int, bytes]]:
    resent.refused.update(rejection.code for rejection in receipt.rejected)
    refused = {rejection.index for rejection in receipt.rejected}
    return [event for place, event in enumerate(events) if place not in refused]


def _event(row: _Row) -> bytes:
    """The event as it was sent, on one line, with what makes it the same event each time."""
    fields = _fields(row)
    if row.route is None and "eventType" not in fields and ("type" in fields or "event" in fields):
        raise _UnsendableError("refused before routes were kept, and not an event of POST /events")
    return _completed(fields, row, "eventId", "occurredAt")


def _message(row: _Row) -> bytes:
    """The message as it was sent, with its type, since it goes in a batch."""
    fields = _fields(row)
    call = (row.route or "").rpartition("/")[2]
    if call != "batch":
        fields["type"] = msgspec.Raw(encode(call))
    return _completed(fields, row, "messageId", "timestamp")


def _fields(row: _Row) -> dict[str, msgspec.Raw]:
    try:
        fields = _object.decode(row.payload)
    except (msgspec.DecodeError, RecursionError):
        cut = len(row.payload.encode()) >= MAX_QUARANTINED_BYTES
        raise _UnsendableError("only its beginning was kept" if cut else "not JSON") from None
    if row.code == "malformed_json" and "\ufffd" in row.payload:
        raise _UnsendableError("it was not UTF-8")
    return fields


def _completed(fields: dict[str, msgspec.Raw], row: _Row, event_id: str, time: str) -> bytes:
    made = {
        event_id: f"rejected-{row.row_id}-{row.received_at.timestamp():.6f}",
        time: row.received_at.astimezone(UTC).isoformat(),
    }
    for name, value in made.items():
        if fields.get(name, b"null") == b"null":
            fields[name] = msgspec.Raw(encode(value))
    return encode(fields).replace(b"\n", b" ").replace(b"\r", b" ")


@contextmanager
def _key_of(connection: psycopg.Connection, source: str, url: str) -> Iterator[str]:
    """A key of the name `source` that the collector knows, for the time of the block.

    Empty where there is no key at all: such a collector serves its own machine without one, and
    would not any more.
    """
    if connection.execute("select exists (select from raw.api_keys)").fetchone() == (False,):
        yield ""
        return
    key = create_key(connection, source, "write")
    try:
        deadline = time.monotonic() + KEY_SECONDS
        with closing(Client(url, key)) as client, closing(Client(url)) as stranger:
            while stranger.may_send() or not client.may_send():
                if time.monotonic() > deadline:
                    raise UserError(f"{url} does not know the keys of this database; check --url")
                time.sleep(0.2)
        yield key
    finally:
        revoke_key(connection, key)


def resend_rejected(settings: Settings, options: argparse.Namespace) -> int:
    """Sends what is selected and prints what became of it; 1 where some is still refused."""
    selection = {name: getattr(options, name) for name in ("code", "source", "since")}
    console = open_console()
    table = Table("source", "sent again", "events", box=None, header_style="dim")
    table.columns[2].justify = "right"
    total: Counter[str] = Counter()
    with open_databases(settings) as databases:
        if options.put_away:
            return _put_away(databases.migration, selection, console)
        for resent in resend(databases.migration, options.url, selection):
            counts = {"accepted": resent.accepted}
            counts |= {f"refused: {code}": n for code, n in sorted(resent.refused.items())}
            counts |= {f"not sent: {why}": n for why, n in sorted(resent.unsendable.items())}
            for outcome, count in counts.items():
                table.add_row(plain(resent.source), plain(outcome), f"{count:,}")
            total.update(counts)
    if not total:
        console.print("Nothing that was refused is left to send again.")
        return 0
    console.print(table)
    if total["accepted"]:
        console.print("Next: scripts/dbt build")
    return 0 if set(total) == {"accepted"} else 1


def _put_away(database_url: str, selection: Selected, console: Console) -> int:
    with open_connection(database_url, autocommit=True) as connection:
        rows = connection.execute(_PUT_AWAY, selection).fetchall()
    for source, code, count in rows:
        console.print(f"{count:,} of {source} put away: {code}", markup=False, highlight=False)
    if not rows:
        console.print("Nothing that was refused is left to put away.")
    return 0
