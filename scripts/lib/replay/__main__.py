"""`scripts/replay`."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from scripts.lib.base.cli import between, open_console, parser, plain, printable, read_settings, run
from scripts.lib.replay.checking import unsupported_text
from scripts.lib.replay.making import BATCH_ROWS, Options
from scripts.lib.replay.outcome import Outcome, summary
from scripts.lib.replay.reading.files import STDIN, expand
from scripts.lib.replay.run import replay


def main() -> int:
    """`scripts/replay`."""
    arguments = parser(
        "replay",
        "Send a history to the collector over HTTP, resumably: files of CSV, JSON, Parquet, Excel\n"
        "or XES, the users and events of the prototype's database, or what was refused.\n"
        "docs/replay.md has the mapping file, and those for the exports of other products.",
    )
    arguments.add_argument(
        "files", nargs="*", help="files, globs or folders, packed or not; - for standard input"
    )
    arguments.add_argument("--mapping", type=Path, help="how a row becomes events or a user")
    arguments.add_argument(
        "--url",
        default="",
        help="the collector (default: the one on HOST and PORT)",
    )
    arguments.add_argument(
        "--inspect", action="store_true", help="show what the files hold and propose a mapping"
    )
    arguments.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing; show the first rows as events, what would be refused, and the times",
    )
    arguments.add_argument(
        "--replace",
        action="store_true",
        help="afterwards take back what other mappings sent of the same files and this does not",
    )
    arguments.add_argument(
        "--dataset",
        default="",
        help="counts the same event in another data set apart (default: events are told apart by "
        "what they say, those without a time also by the file's name)",
    )
    arguments.add_argument(
        "--allow-times",
        action="store_true",
        help="send times of over 50 years ago and of the future too: dbt moves them to the edge",
    )
    arguments.add_argument(
        "--skip-unsupported",
        action="store_true",
        help="leave out events of types that no seed lists, rather than send nothing",
    )
    arguments.add_argument(
        "--users", action="store_true", help="without a mapping: the rows are users, not events"
    )
    arguments.add_argument(
        "--restart", action="store_true", help="from the first row, whatever was sent before"
    )
    arguments.add_argument(
        "--batch",
        dest="batch_rows",
        metavar="ROWS",
        type=between(1, 5000),
        default=BATCH_ROWS,
        help="rows a step, 1 to 5000 (%(default)s)",
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
    group = arguments.add_argument_group("instead of a file, once more what was refused")
    group.add_argument("--rejected", action="store_true", help="send raw.rejected_events")
    group.add_argument(
        "--put-away", action="store_true", help="send none, and never again, of those selected"
    )
    group.add_argument("--code", help="only what was refused with this code")
    group.add_argument("--source", help="only what this key sent")
    group.add_argument("--since", type=_time, help="only what came from this day or time on")
    options = arguments.parse_args()
    settings = read_settings()
    options.url = options.url or f"http://{settings.host}:{settings.port}"
    if [bool(options.files), bool(options.from_prisma), options.rejected].count(True) != 1:
        arguments.error("name a file, a database with --from-prisma, or --rejected: one of them")
    if options.dry_run and not options.files:
        arguments.error("--dry-run goes with files")  # else it would be passed over, and all sent
    if options.rejected:
        from scripts.lib.replay.rejected import resend_rejected  # noqa: PLC0415  only here

        return resend_rejected(settings, options)
    if options.from_prisma:
        from scripts.lib.replay.prototype.send import move_in  # noqa: PLC0415  only here

        return move_in(
            settings,
            options.from_prisma,
            options.prisma_destination,
            options.url,
            restart=options.restart,
            batch_rows=options.batch_rows,
        )
    files = expand(options.files)
    console = open_console(soft_wrap=True)
    if options.inspect:
        from scripts.lib.replay.inspect import inspect  # noqa: PLC0415  only here

        return inspect(files, options.mapping, console)
    may = Options(**{each.name: getattr(options, each.name) for each in fields(Options)})
    if options.dry_run:
        from scripts.lib.replay.trial import dry_run  # noqa: PLC0415  only here

        return dry_run(files, options.mapping, options.url, settings.api_key, may, console)
    started = time.monotonic()
    names = files[0].name if len(files) == 1 else f"{len(files)} files"
    with Progress(console=console, disable=not console.is_terminal) as bar:
        size = sum(path.stat().st_size for path in files if path != STDIN)
        task = bar.add_task(f"Sending {plain(names)}", total=size or None)
        outcome = replay(
            files,
            options.mapping,
            url=options.url,
            data_directory=settings.data_directory,
            key=settings.api_key,
            options=may,
            on_progress=lambda done: bar.update(task, completed=done),
            say=lambda text: console.print(text, markup=False, highlight=False),
        )
    show(outcome, names, console)
    console.print(f"{time.monotonic() - started:.1f} s.{_next(outcome)}", highlight=False)
    return 0 if outcome.is_complete else 1


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def show(outcome: Outcome, name: str, console: Console) -> None:
    """Prints what became of a history."""
    if outcome.resumed_after and outcome.resumed_after == outcome.rows:
        console.print(
            "Sent completely by an earlier run; nothing sent now (--restart sends it again)."
        )
    elif outcome.resumed_after:
        console.print(f"Continued after row {outcome.resumed_after:,} of an earlier run.")
    console.print(summary(name, outcome))
    for text in (*outcome.examples, *outcome.broken):
        console.print(printable(f"  {text}"), markup=False, highlight=False)
    if outcome.unsupported:
        text = unsupported_text(sorted(outcome.unsupported)).replace(
            "Nothing is sent.", "They were not sent."
        )
        console.print(text, markup=False, highlight=False)
    if "implausible_time" in outcome.rejected:
        console.print(
            "Not sent for their times; --allow-times sends them, and shift_days in the mapping "
            "moves a history whose dates are shifted."
        )
    if not outcome.adds_up:
        console.print(
            "The numbers do not add up: rows are missing from these counts.", style="bold"
        )


def _next(outcome: Outcome) -> str:
    if not outcome.accepted + outcome.already:
        return " Nothing was accepted."
    return " Next: scripts/dbt build"


if __name__ == "__main__":
    run(main)
