"""Sends a history to the collector, resumably."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from scripts.lib.cli import UserError
from scripts.lib.client import Client, encode
from scripts.lib.replay import sending
from scripts.lib.replay.documents import parsed
from scripts.lib.replay.files import STDIN, History, logical_name
from scripts.lib.replay.identity import Identity, Named, Raw
from scripts.lib.replay.mapping import MappingError, RowMapping, load_mapping
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.rows import BadRow, FileOptions, HistoryError, Record
from scripts.lib.replay.state import Sent, State
from scripts.lib.replay.times import is_plausible
from scripts.lib.replay.values import RowError, cell

BATCH_ROWS = 5000
SAMPLE_ROWS = 1000  # looked at before anything is sent
Placed = tuple[str, Record]  # a record with the name of its file


class _Head(msgspec.Struct, rename="camel"):
    event_id: str | None = None
    event_type: str | None = None
    occurred_at: str | None = None


_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class Options:
    """What a replay may do besides: see `scripts/replay --help`."""

    users: bool = False
    restart: bool = False
    replace: bool = False
    allow_times: bool = False
    skip_unsupported: bool = False
    dataset: str = ""
    batch_rows: int = BATCH_ROWS


def replay(  # noqa: PLR0913
    files: Path | Sequence[Path],
    mapping: Path | None = None,
    *,
    url: str,
    data_directory: Path,
    key: str = "",
    options: Options | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Sends `files` to the collector at `url`, in their order, and returns what became of them.

    A state under `data_directory` is advanced after each acknowledged batch, so that a killed run
    continues there; the batch in flight is sent again under the same eventIds. Without `mapping`
    the files are NDJSON in the collector's own form: events, or users with `options.users`.
    `on_progress` gets the bytes of the files that are read, `say` what is worth saying meanwhile.

    Raises MappingError, HistoryError, or CollectorError when the collector stays unreachable or
    refuses a whole request; what was acknowledged until then stays recorded.
    """
    files = [files] if isinstance(files, Path) else list(files)
    options = options or Options()
    rules = load_mapping(mapping) if mapping else None
    history = open_history(files, rules, raw=rules is None and not options.users)
    with closing(Client(url, key)) as client:
        client.check()
        source = client.source()
        with State(data_directory, client.url, source) as state:
            if state.was_broken:
                say("The state of former runs cannot be read and is put aside: all is sent.")
            run = _Run(client, history, rules, options, state, on_progress, say, source)
            try:
                return run.finish()
            finally:
                run.close()


def open_history(files: Sequence[Path], rules: RowMapping | None, *, raw: bool) -> History:
    """The history in `files`, to be read as the mapping says; `raw` leaves lines as they are.

    Raises MappingError where it needs a mapping.
    """
    history = History(files, rules.file if rules else FileOptions(), raw=raw)
    if rules is None and history.is_table:
        raise MappingError(
            f"{files[0]}: a table needs --mapping; docs/replay.md shows how, and "
            f"scripts/replay --inspect {files[0]} proposes one"
        )
    return history


class _Run:
    """One run of the command over one history."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        client: Client,
        history: History,
        rules: RowMapping | None,
        options: Options,
        state: State,
        on_progress: Callable[[int], None],
        say: Callable[[str], None],
        source: str,
    ) -> None:
        self.client, self.history, self.rules = client, history, rules
        self.options, self.state, self.on_progress, self.say = options, state, on_progress, say
        self.to_users = rules.target == "users" if rules else options.users
        self.supported = client.limits.event_types
        self.now = datetime.now(UTC)
        dataset = options.dataset or (rules.dataset if rules else "")
        self.name = dataset or " ".join(logical_name(path) for path in history.files)
        self.mapping = json.dumps(rules.meaning, sort_keys=True, default=str) if rules else ""
        self.key = f"{self.name}\n{'users' if self.to_users else 'events'}\n{self.mapping}"
        self.identity = Identity(dataset)
        self.digest = blake2b(digest_size=16)
        self.outcome, self.files_then = state.load(self.key)
        if options.restart:
            state.put_aside(self.key)
            self.outcome, self.files_then = Outcome(), ""
        elif not self.outcome.rows and (other := state.other_source(self.key)):
            raise UserError(
                f"{self.name} was sent as the source {other!r}, and this key sends as {source!r}: "
                "the same events would count twice. Take a key of that name, or say --restart to "
                "have them as both."
            )
        self.run = state.save(self.key, self.name, self.mapping, self.outcome, self.files_then)

    def close(self) -> None:
        self.identity.close()

    def finish(self) -> Outcome:
        """Sends what is not sent yet; returns what became of the whole."""
        now_supported = sorted(set(self.outcome.unsupported) & self.supported)
        if self.outcome.finished and now_supported:
            self.say(f"The collector takes {', '.join(now_supported)} by now; these are sent.")
            self.outcome = Outcome(missing_types=now_supported)
        files_now = _stamp(self.history.files)
        if not (self.outcome.finished and self.files_then == files_now and files_now):
            self._check_sample()
            self._warn_of_others()
            self._send()
            self.outcome.broken = self.history.broken
            self.outcome.kind = "users" if self.to_users else "events"
            self.outcome.finished = not self.history.broken
            self._save(files_now)
        if self.options.replace:
            self._void_others()
        return self.outcome

    def _save(self, files: str = "") -> None:
        self.state.save(self.key, self.name, self.mapping, self.outcome, files)

    # ---------------------------------------------------------------- before anything is sent

    def _check_sample(self) -> None:
        """Raises MappingError for a column that is not there, or types that are not supported."""
        records = self.history.records()
        sample = list(islice(records, SAMPLE_ROWS))
        self.records: Iterator[Placed] = chain(sample, records)
        rows = [record.row for _, record in sample if isinstance(record.row, dict)]
        if self.rules:
            check_columns(self.rules, self.history, rows)
        if self.to_users or self.options.skip_unsupported:
            return
        trial = Outcome()
        for name, record in sample:
            self._events_of(name, record, trial)
        self.digest = blake2b(digest_size=16)
        if self.rules:
            self.rules.notes.take()
        named = self.rules.event_types if self.rules else frozenset[str]()
        unsupported = sorted((set(trial.unsupported) | named) - self.supported)
        if unsupported and self.outcome.rows == 0:
            raise MappingError(unsupported_text(unsupported))

    def _warn_of_others(self) -> None:
        count = self.state.sent_by_others(self.name, self.mapping)
        if count and not self.options.replace and not self.outcome.rows:
            self.say(
                f"{count:,} events of {self.name} were sent by another mapping before: they stay, "
                "and under an eventId of theirs nothing new counts. --replace takes them back."
            )

    # ---------------------------------------------------------------- sending

    def _send(self) -> None:
        done = self.outcome.rows
        if done:
            part = Outcome()
            for batch in _batches(islice(self.records, done), self.options.batch_rows):
                part = Outcome(rows=part.rows + len(batch))
                self._prepared(batch, part)
            if part.rows != done or self.digest.hexdigest() != self.outcome.digest:
                self.say(
                    f"{self.name} is not what it was: it is sent from its first row. What only the "
                    "former one had stays, unless --replace is given."
                )
                self._start_anew()
        with ThreadPoolExecutor(1) as pool:  # one request at a time: the order is the history's
            sending_now: tuple[Future[None], Outcome] | None = None
            try:
                rows = self.outcome.rows
                for batch in _batches(self.records, self.options.batch_rows):
                    rows += len(batch)
                    part = Outcome(rows=rows)
                    send = self._prepared(batch, part)
                    part.digest = self.digest.hexdigest()
                    if sending_now:
                        sent, sending_now = sending_now, None
                        self._acknowledged(*sent)
                    sending_now = pool.submit(send), part
                    self.on_progress(self.history.position())
            finally:
                if sending_now:
                    self._acknowledged(*sending_now)

    def _start_anew(self) -> None:
        self.state.put_aside(self.key)
        self.outcome = Outcome()
        self.run = self.state.save(self.key, self.name, self.mapping, self.outcome)
        self.identity.close()
        self.identity = Identity(self.options.dataset or (self.rules.dataset if self.rules else ""))
        self.digest = blake2b(digest_size=16)
        if STDIN in self.history.files:
            raise HistoryError("standard input is not what it was; give it again with --restart")
        self.records = self.history.records()

    def _acknowledged(self, sent: Future[None], part: Outcome) -> None:
        sent.result()
        self.outcome.add(part)
        self._save()

    def _prepared(self, batch: Sequence[Placed], part: Outcome) -> Callable[[], None]:
        """Makes what a batch of records is to send; counts in `part` what is not sent."""
        if self.to_users:
            return self._prepared_users(batch, part)
        events: list[tuple[Raw | dict[str, Any], str]] = []
        places: list[str] = []
        for name, record in batch:
            for made in self._events_of(name, record, part):
                events.append((made, logical_name(Path(name))))
                places.append(self._place(name, record.place))
        self._note(part)
        named = self.identity.name(events)
        for each in named:
            self.digest.update(each.text)
        named = self._free(named)
        to_send: list[tuple[str, bytes]] = []
        noted: list[Sent] = []
        wanted = set(self.outcome.missing_types)
        for place, event in zip(places, named, strict=True):
            part.events += 1
            if event.standing == "repeated":
                part.repeated += 1
            elif event.standing == "conflict":
                part.conflicts += 1
                part.example(
                    "conflict", f"{place}: another event under the eventId {event.event_id!r}"
                )
            if wanted and str(_head(event.text).event_type) not in wanted:
                part.already += 1
                continue
            to_send.append((place, event.text))
            noted.append(Sent(event.event_id, event.content))

        def send() -> None:
            self.state.note(self.run, noted)
            sending.send_events(self.client, to_send, part)

        return send

    def _prepared_users(self, batch: Sequence[Placed], part: Outcome) -> Callable[[], None]:
        users: list[tuple[str, dict[str, Any]]] = []
        for name, record in batch:
            place = self._place(name, record.place)
            made = self._applied(name, record, part)
            for user in made:
                if self._is_wrong_time(user.get("occurredAt"), place, part):
                    continue
                part.mapped += 1
                part.events += 1
                self.digest.update(encode(user))
                users.append((place, user))
        self._note(part)
        return partial(sending.send_users, self.client, users, part)

    def _place(self, name: str, number: int) -> str:
        return f"{name}, row {number}" if self.history.several else f"row {number}"

    def _applied(self, name: str, record: Record, part: Outcome) -> list[dict[str, Any]]:
        """What the mapping makes of a record; counts those that it makes nothing of."""
        row = record.row
        if isinstance(row, BadRow):
            self.digest.update(b"\n")
            part.reject(self._place(name, record.place), row.code, row.message)
            return []
        if isinstance(row, bytes) or self.rules is None:
            return [] if isinstance(row, bytes) else [row]
        if self.rules.needs_place:
            row = {**row, "$row": record.place, "$file": name}
        try:
            made = self.rules.apply(row)
        except RowError as error:
            self.digest.update(b"\n")
            part.reject(self._place(name, record.place), error.code, str(error))
            return []
        if made is None:
            part.skipped += 1
            self.digest.update(b"\0")
            return []
        return made

    def _events_of(self, name: str, record: Record, part: Outcome) -> list[Raw | dict[str, Any]]:
        """The events of one record that can be sent; counts the record once, whatever it is."""
        place = self._place(name, record.place)
        if isinstance(record.row, bytes):
            try:
                head = _head(record.row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                head = _Head()
            if head.event_id:
                if self._is_refused(head.event_type, head.occurred_at, place, part):
                    return []
                part.mapped += 1
                return [Raw(head.event_id, record.row.strip())]
            record = Record(record.place, parsed(record.row))
        made = self._applied(name, record, part)
        for event in made:
            kind, occurred_at = event.get("eventType"), event.get("occurredAt")
            if self._is_refused(kind, occurred_at, place, part):
                return []  # all events of a row, or none: a row is counted once
        part.mapped += bool(made)
        return list(made)

    def _is_refused(self, kind: object, occurred_at: object, place: str, part: Outcome) -> bool:
        if isinstance(kind, str) and kind not in self.supported:
            part.unsupported[kind] = part.unsupported.get(kind, 0) + 1
            self.digest.update(b"\1")
            if self.options.skip_unsupported:
                part.skipped += 1
            else:
                message = f"eventType {kind[:80]!r} is not supported"
                part.reject(place, "unsupported_event_type", message)
            return True
        return self._is_wrong_time(occurred_at, place, part)

    def _is_wrong_time(self, occurred_at: object, place: str, part: Outcome) -> bool:
        if not isinstance(occurred_at, str):
            return False
        try:
            if self.options.allow_times or is_plausible(occurred_at, self.now):
                return False
        except (ValueError, TypeError):
            return False  # the collector says what is wrong with it
        part.reject(place, "implausible_time", f"{occurred_at} is over 50 years ago, or to come")
        self.digest.update(b"\2")
        return True

    def _note(self, part: Outcome) -> None:
        if self.rules:
            notes = self.rules.notes.take()
            part.left_out, part.times = dict(notes.left_out), dict(notes.times)

    # ---------------------------------------------------------------- what was taken back

    def _free(self, named: list[Named]) -> list[Named]:
        """Gives other ids to events under whose own nothing would count.

        That are those taken back, and, in a replacement, those under which something else was sent.
        """
        generation = 1
        while True:
            taken = self.state.voided([event.event_id for event in named])
            if self.options.replace:
                sent = [Sent(each.event_id, each.content) for each in named]
                taken |= self.state.differing(self.key, self.name, sent)
            if not taken:
                return named
            generation += 1
            named = [
                _renumbered(each, generation) if each.event_id in taken else each for each in named
            ]

    def _void_others(self) -> None:
        """Takes back what other mappings sent of these files and this one does not send."""
        if self.to_users or not self.outcome.finished:
            return
        count = 0
        event_ids = self.state.others(self.key, self.name)
        for start in range(0, len(event_ids), BATCH_ROWS):
            some = event_ids[start : start + BATCH_ROWS]
            part = Outcome()
            sending.send_events(self.client, [("", void(each)) for each in some], part)
            if part.refused:
                raise UserError(f"the collector refused to take events back: {part.examples[0]}")
            self.state.note_voided(some)
            count += len(some)
        self.state.drop_others(self.key, self.name)
        self.say(f"{count:,} events of former runs are taken back.")


def void(event_id: str) -> bytes:
    """The event that takes another one of its source back."""
    return encode(
        {
            "eventId": f"void-{blake2b(event_id.encode(), digest_size=16).hexdigest()}",
            "eventType": "event_voided",
            "anonymousId": "scripts/replay",
            "activity": {"eventId": event_id},
        }
    )


def check_columns(rules: RowMapping, history: History, rows: Sequence[dict[str, Any]]) -> None:
    """Raises MappingError where the mapping names what the history does not have."""
    if history.columns is not None:
        heads = set(history.columns)
        wrong = rules.missing(
            history.columns, lambda name: name in heads or name.partition(".")[0] in heads
        )
    elif rows:
        paths = list(dict.fromkeys(path for row in rows[:200] for path in _paths(row)))
        known = set(paths)
        for row in rows[200:]:
            known.update(row)
        wrong = rules.missing(
            paths, lambda name: name in known or any(_is_there(row, name) for row in rows)
        )
    else:
        return
    if wrong:
        files = ", ".join(path.name for path in history.files[:3])
        raise MappingError(
            f"{files}: {wrong}. Where it is there in later rows only: optional: true"
        )


def _is_there(row: dict[str, Any], path: str) -> bool:
    if cell(row, path) is not None:
        return True
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _paths(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        yield prefix + name
        if isinstance(value, dict) and prefix.count(".") < 3:
            yield from _paths(value, f"{prefix}{name}.")


def unsupported_text(types: Sequence[str]) -> str:
    """What to do about event types that the collector does not support."""
    rows = "\n".join(
        f"  {name},product,true,{name.replace('_', ' ').capitalize()}" for name in types
    )
    return (
        f"the collector does not support these event types yet: {', '.join(types)}. Nothing is "
        f"sent. Add them to dbt_project/seeds/event_types.csv:\n{rows}\n"
        "and what is planned of their attributes to event_properties.csv, start the collector "
        "again, and give this command again. Or leave them out with --skip-unsupported."
    )


def _batches(records: Iterator[Placed], size: int) -> Iterator[list[Placed]]:
    while batch := list(islice(records, size)):
        yield batch


def _stamp(files: Sequence[Path]) -> str:
    """What tells whether files changed since; empty for a stream."""
    if STDIN in files:
        return ""
    stats = [(str(path.resolve()), path.stat()) for path in files]
    return json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def _renumbered(event: Named, generation: int) -> Named:
    """The same event under another id, made of its own."""
    bare = re.sub(r"~\d+$", "", event.event_id)
    event_id = f"{bare}~{generation}"
    if len(event_id) > 128:
        event_id = f"{blake2b(bare.encode(), digest_size=16).hexdigest()}~{generation}"
    fields = msgspec.json.decode(event.text, type=dict[str, msgspec.Raw])
    fields["eventId"] = msgspec.Raw(msgspec.json.encode(event_id))
    return event._replace(event_id=event_id, text=msgspec.json.encode(fields))
