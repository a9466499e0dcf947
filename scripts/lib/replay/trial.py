"""Shows what a replay would do, and does nothing: `scripts/replay --dry-run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from scripts.lib.base.cli import printable
from scripts.lib.base.client import Client
from scripts.lib.replay.batches import Records
from scripts.lib.replay.checking import check_columns, unsupported_text
from scripts.lib.replay.identity import Identity
from scripts.lib.replay.making import Maker, Options, look_at
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.outcome import Outcome, summary
from scripts.lib.replay.preparing import Preparer
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import FileOptions

ROWS = 10_000  # read and, without being kept, shown to the collector
SHOWN = 20


def dry_run(  # noqa: PLR0913, PLR0917
    files: Sequence[Path],
    mapping: Path | None,
    url: str,
    key: str,
    options: Options,
    console: Console,
) -> int:
    """Prints the first rows as they would be sent, and what would become of the first 10,000.

    Returns 1 where some would not land. Raises what `replay` does.
    """
    rules = load_mapping(mapping) if mapping else None
    history = History(files, rules.file if rules else FileOptions(), as_lines=rules is None)
    with closing(Client(url, key)) as client:
        client.check()
        source = client.source()
        maker = Maker(rules, options, client.limits.event_types)
        batch = Records(history.blocks()).take(ROWS)
        if rules:
            for told in check_columns(rules, history, batch.rows):
                console.print(told, markup=False, highlight=False)
        outcome = Outcome(rows=len(batch.rows), kind=maker.kind)
        identity = Identity(options.dataset or (rules.dataset if rules else ""))
        texts, place_of, *_ = Preparer(maker, identity).prepare(batch, outcome)
        identity.close()
        for number, text in enumerate(texts[:SHOWN]):
            line = f"{place_of(number)}: {text.decode()}"
            console.print(printable(line), markup=False, highlight=False)
        if maker.kind == "events":
            outcome.count(client.validate("/events", texts), place_of)
        else:
            console.print("The collector tries no users: what it would refuse is not known.")
        outcome.accepted = outcome.events - sum(outcome.refused.values())
    _show(history, texts, outcome, source, console)
    return 0 if outcome.is_complete else 1


def _show(
    history: History, texts: Sequence[bytes], outcome: Outcome, source: str, console: Console
) -> None:
    console.print()
    names = ", ".join(path.name for path in history.files[:3])
    console.print(summary(f"{names}, the first at most {ROWS:,}", outcome))
    if outcome.kind == "events":
        looks = [look_at(text) for text in texts]
        times = sorted(str(each.occurred_at) for each in looks if each.occurred_at)
        for kind, count in Counter(str(each.event_type) for each in looks).most_common():
            console.print(printable(f"  {count:,} {kind}"), markup=False, highlight=False)
        if times:
            console.print(f"  from {times[0]} to {times[-1]}", highlight=False)
        if len(times) < len(looks):
            console.print(f"  {len(looks) - len(times):,} without a time: dated when they arrive")
    for text in (*outcome.examples, *history.broken):
        console.print(printable(f"  {text}"), markup=False, highlight=False)
    if outcome.unsupported:
        console.print(unsupported_text(sorted(outcome.unsupported)), markup=False, highlight=False)
    console.print(f"Nothing was sent. It would be sent as the source {source!r}.", highlight=False)
