"""Sends a history to the collector, resumably: `scripts/replay`. docs/replay.md is its manual."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from scripts.lib.cli import parser, printable, read_settings, run
from scripts.lib.client import Client
from scripts.lib.mapping import MappingError, RowError, RowMapping, load_mapping
from scripts.lib.outcome import Outcome, load, save, state_path, summary
from scripts.lib.rejected import add_arguments, resend_rejected
from scripts.lib.rows import BadRow, is_csv, read_events, read_header, read_rows
from scripts.lib.sending import encoded, send_events, send_users

BATCH_ROWS = 5000


def replay(  # noqa: PLR0913  the options of the command
    file: Path,
    mapping: Path | None = None,
    *,
    url: str,
    data_directory: Path,
    key: str = "",
    users: bool = False,
    restart: bool = False,
    batch_rows: int = BATCH_ROWS,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Sends `file` to the collector at `url` in file order and returns what became of its rows.

    A state file under `data_directory` is advanced after each acknowledged batch, so that a
    killed run continues there; the batch in flight is sent again under the same eventIds. Without
    `mapping` the file is NDJSON in the collector's own form: events, or users with `users`.
    `on_progress` gets the bytes of the file that are done.

    Raises MappingError, HistoryError, or CollectorError when the collector stays unreachable or
    refuses a whole request; what was acknowledged until then stays recorded.
    """
    rules = load_mapping(mapping) if mapping else None
    _check(file, rules)
    with file.open("rb") as content:
        fingerprint = hashlib.file_digest(content, "sha256").hexdigest()
    to_users = rules.target == "users" if rules else users
    state = state_path(data_directory, fingerprint, mapping, url, to_users)
    outcome = Outcome() if restart else load(state)
    if outcome.finished:
        return outcome

    def acknowledged(sending: Future[None], part: Outcome) -> None:
        sending.result()
        outcome.add(part)
        save(state, outcome)

    with (
        file.open("rb") as raw,
        closing(Client(url, key)) as client,
        ThreadPoolExecutor(1) as pool,  # one request at a time, so that the order is the file's
    ):
        client.check()
        read = read_rows if rules or to_users else read_events
        numbered = enumerate(read(file, raw), start=1)
        rows = islice(numbered, outcome.rows, None)
        sending: tuple[Future[None], Outcome] | None = None
        try:
            while batch := list(islice(rows, batch_rows)):  # read while the last one is on its way
                part = Outcome(rows=batch[-1][0])
                items = _items(batch, rules, part)
                send = (
                    partial(send_users, client, list(items), part)
                    if to_users
                    else partial(send_events, client, encoded(items, fingerprint), part)
                )
                if sending:
                    sent, sending = sending, None
                    acknowledged(*sent)
                sending = pool.submit(send), part
                on_progress(raw.tell())
        finally:
            if sending:
                acknowledged(*sending)
    outcome.finished = True
    save(state, outcome)
    return outcome


def _check(file: Path, rules: RowMapping | None) -> None:
    if not is_csv(file):
        return
    if rules is None:
        raise MappingError(f"{file}: a CSV file needs --mapping; docs/replay.md shows how")
    header = read_header(file)
    for column in sorted(rules.columns):
        if column not in header:
            raise MappingError(
                f"the mapping names the column {column!r}; {file} has {', '.join(header)}"
            )


def _items(
    batch: Sequence[tuple[int, Any | BadRow]], rules: RowMapping | None, outcome: Outcome
) -> Iterator[tuple[int, Any]]:
    """Numbered events or users; rejected and skipped rows are counted."""
    for number, row in batch:
        if isinstance(row, BadRow):
            outcome.reject(number, row.code, row.message)
            continue
        try:
            item = rules.apply(row) if rules else row
        except RowError as error:
            outcome.reject(number, error.code, str(error))
            continue
        if item is None:
            outcome.skipped += 1
        else:
            yield number, item


def main() -> int:
    """`scripts/replay`."""
    settings = read_settings()
    arguments = parser(
        "replay",
        "Send a history to the collector over HTTP, resumably: a CSV or NDJSON file, the users\n"
        "and events of the prototype's database, or what was refused.",
    )
    arguments.add_argument(
        "file", type=Path, nargs="?", help=".csv, .ndjson or .jsonl, optionally .gz"
    )
    arguments.add_argument("--mapping", type=Path, help="how a row becomes an event or a user")
    arguments.add_argument(
        "--url",
        default=f"http://{settings.host}:{settings.port}",
        help="the collector (default: %(default)s)",
    )
    arguments.add_argument(
        "--users", action="store_true", help="without a mapping: the rows are users, not events"
    )
    arguments.add_argument(
        "--restart", action="store_true", help="from the first row, whatever was sent before"
    )
    arguments.add_argument(
        "--batch", type=int, default=BATCH_ROWS, help="rows a request, 1 to 5000 (%(default)s)"
    )
    arguments.add_argument(
        "--from-prisma",
        metavar="URL",
        help="instead of a file: the prototype's source database, see docs/prototype.md",
    )
    arguments.add_argument(
        "--prisma-destination",
        metavar="URL",
        help="the prototype's other database, to compare with the marts (default: the same)",
    )
    add_arguments(arguments)
    options = arguments.parse_args()
    if not 1 <= options.batch <= 5000:
        arguments.error("--batch must be from 1 to 5000")
    if [bool(options.file), bool(options.from_prisma), options.rejected].count(True) != 1:
        arguments.error("name a file, a database with --from-prisma, or --rejected: one of them")
    if options.rejected:
        return resend_rejected(settings, options)
    if options.from_prisma:
        from scripts.lib.prototype.send import move_in  # noqa: PLC0415  it imports this module

        return move_in(
            settings,
            options.from_prisma,
            options.prisma_destination,
            options.url,
            restart=options.restart,
            batch_rows=options.batch,
        )
    if not options.file.is_file():
        arguments.error(f"there is no file {options.file}")
    console = Console()
    started = time.monotonic()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(
            f"Sending {escape(options.file.name)}", total=options.file.stat().st_size
        )
        outcome = replay(
            options.file,
            options.mapping,
            url=options.url,
            data_directory=settings.data_directory,
            key=settings.api_key,
            users=options.users,
            restart=options.restart,
            batch_rows=options.batch,
            on_progress=lambda done: bar.update(task, completed=done),
        )
    if outcome.resumed_after and outcome.resumed_after == outcome.rows:
        console.print(
            "Sent completely by an earlier run; nothing sent now (--restart sends it again)."
        )
    elif outcome.resumed_after:
        console.print(f"Continued after row {outcome.resumed_after:,} of an earlier run.")
    console.print(summary(options.file, outcome))
    for example in outcome.examples:
        console.print(f"  {printable(example)}", markup=False, highlight=False)
    console.print(f"{time.monotonic() - started:.1f} s. Next: scripts/dbt build")
    return 1 if outcome.rejected else 0


if __name__ == "__main__":
    run(main)
