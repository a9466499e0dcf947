"""Sends a history to the collector, resumably."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client, Receipt
from scripts.lib.replay.batches import Records
from scripts.lib.replay.checking import check_columns, unsupported_text
from scripts.lib.replay.identity import Identity
from scripts.lib.replay.making import Maker, Options
from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.mapping.rules import RowMapping
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.preparing import Prepared, Preparer
from scripts.lib.replay.reading.files import STDIN, History, logical_name
from scripts.lib.replay.reading.records import FileOptions, HistoryError
from scripts.lib.replay.replacing import take_back
from scripts.lib.replay.state import Run, State

UNDER_WAY = 2  # requests at a time: while one is committed, the next is read
SAMPLE_ROWS = 1000  # looked at before anything is sent


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
    history = History(files, rules.file if rules else FileOptions(), as_lines=rules is None)
    with closing(Client(url, key)) as client:
        client.check()
        source = client.source()
        maker = Maker(rules, options, client.limits.event_types)
        with State(data_directory, client.url, source) as state:
            if state.was_broken:
                say("The state of former runs cannot be read and is put aside: all is sent.")
            replaying = _Replay(client, history, maker, state, on_progress, say)
            is_new = not (replaying.outcome.rows or options.restart)
            if is_new and (other := state.other_source(replaying.run)):
                raise UserError(
                    f"{replaying.run.name} was sent as the source {other!r}, and this key sends "
                    f"as {source!r}: the same events would count twice. Take a key of that name, "
                    "or say --restart to have them as both."
                )
            try:
                return replaying.finish()
            finally:
                replaying.preparer.identity.close()


class _Replay:
    """One history on its way."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        client: Client,
        history: History,
        maker: Maker,
        state: State,
        on_progress: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self.client, self.history, self.maker, self.state = client, history, maker, state
        self.on_progress, self.say = on_progress, say
        self.options, rules = maker.options, maker.rules
        self.kind = maker.kind
        self.dataset = self.options.dataset or (rules.dataset if rules else "")
        self.run = self._run(rules)
        self.outcome, self.files_then = state.load(self.run)
        if self.options.restart:
            state.put_aside(self.run)
            self.outcome, self.files_then = Outcome(), ""
        self._begin()

    def _run(self, rules: RowMapping | None) -> Run:
        names = " ".join(logical_name(path.name) for path in self.history.files)
        mapping = json.dumps(rules.meaning, sort_keys=True, default=str) if rules else ""
        # With --allow-times it sends what it would not have sent without.
        times = "\nallow times" if self.options.allow_times else ""
        name = self.dataset or names
        return Run(f"{name}\n{self.kind}\n{mapping}{times}", name, mapping)

    def _begin(self) -> None:
        self.records = Records(self.history.blocks())
        self.preparer = Preparer(self.maker, Identity(self.dataset), (self.state, self.run))

    def finish(self) -> Outcome:
        """Sends what is not sent yet; returns what became of the whole."""
        self.state.save(self.run, self.outcome, self.files_then)
        now_supported = sorted(set(self.outcome.unsupported) & self.maker.supported)
        if self.outcome.finished and now_supported:
            self.say(f"The collector takes {', '.join(now_supported)} by now; these are sent.")
            self.outcome = Outcome(missing_types=now_supported)
        if self.options.replace and self.outcome.finished and self.state.contradicts(self.run):
            self._start_anew()  # the same was sent, but not to replace
        files_now = _stamp(self.history.files)
        if not (self.outcome.finished and self.files_then == files_now and files_now):
            self._check_sample()
            self._warn_of_others()
            self._skip_sent()
            self._send()
            self.outcome.broken = self.history.broken
            self.outcome.kind = self.kind
            self.outcome.finished = not self.history.broken
            self.state.save(self.run, self.outcome, files_now)
        if self.options.replace and self.kind == "events" and self.outcome.finished:
            if self.outcome.accepted + self.outcome.already:
                count = take_back(self.client, self.state, self.run)
                self.say(f"{count:,} events of former runs are taken back.")
            else:
                self.say("Nothing of former runs is taken back: nothing has taken its place.")
        return self.outcome

    def _check_sample(self) -> None:
        """Raises MappingError for a column that is not there, or types that are not supported."""
        sample = self.records.take(SAMPLE_ROWS)
        self.records.back(sample)
        rules = self.maker.rules
        if rules:
            for text in check_columns(rules, self.history, sample.rows):
                self.say(text)
        if self.kind == "users" or self.options.skip_unsupported:
            return
        trial = Outcome()
        for place, row in zip(sample.places, sample.rows, strict=True):
            self.maker.made(place, row, trial)
        self.maker.note(trial)
        named = rules.event_types if rules else frozenset[str]()
        unsupported = sorted((set(trial.unsupported) | named) - self.maker.supported)
        if unsupported and self.outcome.rows == 0:
            raise MappingError(unsupported_text(unsupported))

    def _warn_of_others(self) -> None:
        count = self.state.sent_by_others(self.run)
        if count and not self.options.replace and not self.outcome.rows:
            self.say(
                f"{count:,} events of {self.run.name} were sent by another mapping before: they "
                "stay, and under an eventId of theirs nothing new counts. --replace takes them "
                "back."
            )

    def _skip_sent(self) -> None:
        """Reads what is acknowledged: ids of what follows depend on it, and it may have changed."""
        done, read = self.outcome.rows, 0
        while read < done:
            batch = self.records.take(min(self.options.batch_rows, done - read))
            if not batch.rows:
                break
            read += len(batch.rows)
            self.preparer.prepare(batch, Outcome())
        if not done or (read == done and self.preparer.digest() == self.outcome.digest):
            return
        self.say(
            f"{self.run.name} is not what it was: it is sent from its first row. What only the "
            "former one had stays, unless --replace is given."
        )
        if STDIN in self.history.files:
            raise HistoryError("standard input is not what it was; give it again with --restart")
        self._start_anew()

    def _start_anew(self) -> None:
        self.state.put_aside(self.run)
        self.outcome = Outcome()
        self.state.save(self.run, self.outcome)
        self.preparer.identity.close()
        self._begin()

    def _send(self) -> None:
        """Sends batch by batch: two at a time where their order does not matter."""
        rows = self.outcome.rows
        with ThreadPoolExecutor(UNDER_WAY) as pool:
            under_way: deque[tuple[Prepared, Future[Receipt]]] = deque()
            try:
                while (batch := self.records.take(self.options.batch_rows)).rows:
                    rows += len(batch.rows)
                    part = Outcome(rows=rows)
                    prepared = self.preparer.prepare(batch, part, self.outcome.missing_types)
                    part.digest = self.preparer.digest()
                    while len(under_way) == UNDER_WAY or not all(
                        prepared.may_overtake(other) for other, _ in under_way
                    ):
                        self._acknowledge(under_way)
                    if prepared.noted:
                        self.state.note(self.run, prepared.noted)
                    sent = pool.submit(self.client.send, f"/{self.kind}", prepared.texts)
                    under_way.append((prepared, sent))
                    self.on_progress(self.history.position())
            finally:
                while under_way:
                    self._acknowledge(under_way)

    def _acknowledge(self, under_way: deque[tuple[Prepared, Future[Receipt]]]) -> None:
        """Waits for the oldest batch; where it fails, the later ones count as not sent either."""
        prepared, sent = under_way.popleft()
        try:
            receipt = sent.result()
        except BaseException:
            under_way.clear()
            raise
        prepared.part.count(receipt, prepared.place_of)
        self.outcome.add(prepared.part)
        self.state.save(self.run, self.outcome)


def _stamp(files: Sequence[Path]) -> str:
    """What tells whether files changed since; empty for a stream."""
    if STDIN in files:
        return ""
    stats = [(str(path.resolve()), path.stat()) for path in files]
    return json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])
