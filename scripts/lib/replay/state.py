"""What replays did so far: one SQLite file for each source of each collector.

It makes a killed run go on, and knows what to take back when a history is replaced.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from scripts.lib.replay.outcome import Outcome

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SCHEMA = """
    create table if not exists runs (
        run integer primary key,
        source text not null,
        key text not null,
        name text not null,      -- the files, whatever they are packed in
        mapping text not null,
        files text not null,     -- with sizes and times, as they were when the run was finished
        outcome text not null,
        unique (source, key)
    );
    -- A batch a row: its ids, and hashes of what the events say, as MessagePack, packed.
    create table if not exists batches (run integer not null, sent blob not null);
    create table if not exists voided (
        source text, event_id text, primary key (source, event_id)
    ) without rowid;
"""
_SAVE = """
    insert into runs (source, key, name, mapping, files, outcome) values (?, ?, ?, ?, ?, ?)
    on conflict (source, key) do update set files = excluded.files, outcome = excluded.outcome
"""
_NOTE = "insert into batches select run, ? from runs where source = ? and key = ?"
_OTHERS = "select run from runs where source = ?1 and name = ?2 and key <> ?3"
_SENT_BY_OTHERS = f"select sent from batches where run in ({_OTHERS})"  # noqa: S608
_SENT = """
    select sent from batches where run = (select run from runs where source = ? and key = ?)
"""
_DIFFERING = """
    select other.event_id from temp.other
    join json_each(?) as own
        on other.event_id = own.value ->> 0 and other.content <> own.value ->> 1
"""


class Run(NamedTuple):
    """A history and what is made of it: `name` is that of the files, whatever they are packed in.

    `mapping` is what the mapping says, `key` both and the options that matter.
    """

    key: str
    name: str
    mapping: str = ""


class Sent(NamedTuple):
    """Events of a batch: their ids, and hashes of what they say."""

    event_ids: Sequence[str]
    contents: Sequence[int]


class State:
    """The state of one source of one collector; a context manager.

    `was_broken` tells that there was a file that could not be read; it is put aside.
    """

    def __init__(self, data: Path, url: str, source: str) -> None:
        self._source = source
        self._path = data / "replays" / f"{sha256(url.encode()).hexdigest()[:24]}.sqlite3"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.was_broken = False
        self._has_others = False
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            self.was_broken = True
            self._path.replace(self._path.with_suffix(".broken"))
            for each in ("-wal", "-shm"):
                self._path.with_name(self._path.name + each).unlink(missing_ok=True)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        # One thread reads rows, another one hears of the answers; they take turns.
        connection = sqlite3.connect(self._path, timeout=60, check_same_thread=False)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
            connection.execute("select count(*) from runs, voided").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def load(self, run: Run) -> tuple[Outcome, str]:
        """What a run came to so far, and the files that it finished; new where there was none."""
        row = self._connection.execute(
            "select outcome, files from runs where source = ? and key = ?", [self._source, run.key]
        ).fetchone()
        if row is None:
            return Outcome(), ""
        outcome = msgspec.json.decode(row[0], type=Outcome)
        outcome.resumed_after = outcome.rows
        return outcome, row[1]

    def save(self, run: Run, outcome: Outcome, files: str = "") -> None:
        """Notes what a run has come to."""
        text = msgspec.json.encode(outcome).decode()
        with self._connection:
            self._connection.execute(_SAVE, (self._source, *run, files, text))

    def put_aside(self, run: Run) -> None:
        """Makes a run one of the other runs, since its history begins anew."""
        self._connection.execute("drop table if exists temp.other")
        self._has_others = False
        with self._connection:
            self._connection.execute(
                "update runs set key = key || char(10) || '#' || run where source = ? and key = ?",
                [self._source, run.key],
            )

    def other_source(self, run: Run) -> str | None:
        """Another source that the same was sent as, or begun to."""
        rows = self._connection.execute(
            "select source, outcome from runs where source <> ? and key = ?",
            [self._source, run.key],
        ).fetchall()
        for source, text in rows:
            if msgspec.json.decode(text, type=Outcome).rows:
                return str(source)
        return None

    def note(self, run: Run, sent: Sent) -> None:
        """Notes events before they are sent, so that none can be there that is not noted."""
        packed = zstd.compress(msgspec.msgpack.encode(sent), 1)
        with self._connection:
            self._connection.execute(_NOTE, [packed, self._source, run.key])

    def voided(self, event_ids: Sequence[str]) -> set[str]:
        """Those of some ids that were taken back: under such an id nothing counts any more."""
        if not self._connection.execute("select 1 from voided limit 1").fetchall():
            return set()
        query = """
            select event_id from voided
            where source = ? and event_id in (select value from json_each(?))
        """
        rows = self._connection.execute(query, [self._source, json.dumps(event_ids)])
        return {event_id for (event_id,) in rows}

    def differing(self, run: Run, sent: Sent) -> set[str]:
        """The ids under which another run of the same files sent something else."""
        self._unpack_others(run)
        rows = self._connection.execute(_DIFFERING, [json.dumps([*zip(*sent, strict=True)])])
        return {event_id for (event_id,) in rows}

    def contradicts(self, run: Run) -> bool:
        """Whether other runs of the same files sent something else under an id of this one."""
        sent = self._connection.execute(_SENT, [self._source, run.key]).fetchall()
        return any(self.differing(run, _unpacked(packed)) for (packed,) in sent)

    def others(self, run: Run) -> list[str]:
        """The ids that other runs of the same files sent and this one did not."""
        self._unpack_others(run)
        execute = self._connection.execute
        execute("create temp table own (event_id text primary key) without rowid")
        for (packed,) in execute(_SENT, [self._source, run.key]).fetchall():
            rows = [(event_id,) for event_id in _unpacked(packed).event_ids]
            self._connection.executemany("insert or ignore into own values (?)", rows)
        found = execute("select distinct event_id from other where event_id not in own").fetchall()
        execute("drop table own")
        return [event_id for (event_id,) in found]

    def _unpack_others(self, run: Run) -> None:
        """Makes a temporary table of what other runs of the same files sent, once."""
        if self._has_others:
            return
        self._connection.execute("create temp table other (event_id text, content integer)")
        rows = self._connection.execute(_SENT_BY_OTHERS, [self._source, run.name, run.key])
        for (packed,) in rows.fetchall():
            self._connection.executemany(
                "insert into other values (?, ?)", zip(*_unpacked(packed), strict=True)
            )
        self._connection.execute("create index temp.other_event_id on other (event_id)")
        self._connection.commit()
        self._has_others = True

    def sent_by_others(self, run: Run) -> int:
        """How many events of the same files other mappings had accepted."""
        rows = self._connection.execute(
            "select outcome from runs where source = ? and name = ? and mapping <> ?",
            [self._source, run.name, run.mapping],
        ).fetchall()
        return sum(msgspec.json.decode(text, type=Outcome).accepted for (text,) in rows)

    def note_voided(self, event_ids: Iterable[str]) -> None:
        """Notes that some ids are taken back."""
        with self._connection:
            self._connection.executemany(
                "insert or ignore into voided values (?, ?)",
                ((self._source, each) for each in event_ids),
            )

    def drop_others(self, run: Run) -> None:
        """Drops the other runs of the same files, once all that they sent is taken back."""
        values = [self._source, run.name, run.key]
        with self._connection:
            self._connection.execute(f"delete from batches where run in ({_OTHERS})", values)  # noqa: S608
            self._connection.execute(f"delete from runs where run in ({_OTHERS})", values)  # noqa: S608


def _unpacked(packed: bytes) -> Sent:
    return msgspec.msgpack.decode(zstd.decompress(packed), type=Sent)
