"""Sends a history to the collector, resumably."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client, encode
from scripts.lib.replay import sending
from scripts.lib.replay.files import STDIN, History, logical_name
from scripts.lib.replay.identity import Identity, Named, Raw
from scripts.lib.replay.making import (
    BATCH_ROWS,
    Maker,
    Options,
    check_columns,
    head_of,
    unsupported_text,
)
from scripts.lib.replay.mapping import MappingError, RowMapping, load_mapping
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.rows import FileOptions, HistoryError, Record
from scripts.lib.replay.state import State

SAMPLE_ROWS = 1000  # looked at before anything is sent
encode_lines = msgspec.json.Encoder(decimal_format="number", enc_hook=repr).encode_lines
Placed = tuple[str, Record]  # a record with the name of its file


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
        self.maker = Maker(rules, options, self.supported, several=history.several)
        dataset = options.dataset or (rules.dataset if rules else "")
        self.name = dataset or " ".join(logical_name(path.name) for path in history.files)
        self.mapping = json.dumps(rules.meaning, sort_keys=True, default=str) if rules else ""
        self.key = f"{self.name}\n{'users' if self.to_users else 'events'}\n{self.mapping}"
        if options.allow_times:  # sends what it would not have sent without
            self.key += "\nallow times"
        self.identity = Identity(dataset)
        self.digest = blake2b(digest_size=16)  # of the records read: tells this history from others
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
            self.maker.events_of(name, record, trial)
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
        rows: list[Any] = [record.row for _, record in batch]
        is_lines = all(type(row) is bytes for row in rows)
        self.digest.update(
            b"".join([row.rstrip() + b"\n" for row in rows]) if is_lines else encode_lines(rows)
        )
        if self.to_users:
            return self._prepared_users(batch, part)
        plain = is_lines and not (self.options.replace or self.outcome.missing_types)
        if plain and (send := self._prepared_lines(batch, rows, part)):
            return send
        events: list[tuple[Raw | dict[str, Any], str]] = []
        places: list[tuple[str, int]] = []
        for name, record in batch:
            for made in self.maker.events_of(name, record, part):
                events.append((made, logical_name(name)))
                places.append((name, record.place))
        self.maker.note(part)
        named = self.identity.name(events)
        named = self._free(named)
        part.events = len(named)
        for place, event in zip(places, named, strict=True):
            if event.standing == "repeated":
                part.repeated += 1
            elif event.standing == "conflict":
                part.conflicts += 1
                text = f"another event under the eventId {event.event_id!r}"
                part.example("conflict", f"{self.maker.place(*place)}: {text}")
        to_send = [(place, event.text) for place, event in zip(places, named, strict=True)]
        if wanted := set(self.outcome.missing_types):
            to_send = [each for each in to_send if head_of(each[1]).event_type in wanted]
            part.already = len(named) - len(to_send)
        noted = [(event.event_id, event.content) for event in named]
        return partial(self._note_and_send, noted, to_send, part)

    def _prepared_lines(
        self, batch: Sequence[Placed], rows: list[Any], part: Outcome
    ) -> Callable[[], None] | None:
        """As `_prepared`, of events that all have ids and are sent as they stand; None of others.

        The short way, since most of the time of such a history goes into taking it apart.
        """
        lines = self.maker.lines_of(rows)
        if lines is None or self.state.voided([event_id for event_id, _ in lines]):
            return None
        pairs = self.identity.first_of(lines)
        if pairs is None:
            return None
        part.mapped = part.events = len(lines)
        to_send = [
            ((name, record[0]), line)
            for (name, record), (_, line) in zip(batch, lines, strict=True)
        ]
        return partial(self._note_and_send, pairs, to_send, part)

    def _note_and_send(
        self,
        pairs: list[tuple[str, int]],
        events: list[tuple[tuple[str, int], bytes]],
        part: Outcome,
    ) -> None:
        self.state.note(self.run, pairs)
        sending.send_events(self.client, events, part, self.maker.place)

    def _prepared_users(self, batch: Sequence[Placed], part: Outcome) -> Callable[[], None]:
        users = [
            ((name, record.place), user)
            for name, record in batch
            for user in self.maker.users_of(name, record, part)
        ]
        part.events = len(users)
        self.maker.note(part)
        return partial(sending.send_users, self.client, users, part, self.maker.place)

    # ---------------------------------------------------------------- what was taken back

    def _free(self, named: list[Named]) -> list[Named]:
        """Gives other ids to events under whose own nothing would count.

        That are those taken back, and, in a replacement, those under which something else was sent.
        """
        generation = 1
        while True:
            taken = self.state.voided([event.event_id for event in named])
            if self.options.replace:
                sent = [(each.event_id, each.content) for each in named]
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
        if not self.outcome.accepted + self.outcome.already:
            self.say("Nothing of former runs is taken back, since nothing has taken its place.")
            return
        count = 0
        event_ids = self.state.others(self.key, self.name)
        for start in range(0, len(event_ids), BATCH_ROWS):
            some = event_ids[start : start + BATCH_ROWS]
            part = Outcome()
            sending.send_events(self.client, [(("", 0), void(each)) for each in some], part)
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
