"""Drops old months of raw that everybody has read: `scripts/retain`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from scripts.lib.base.cli import UserError, counted, parser, read_settings, run, say
from scripts.lib.base.database import Databases, open_databases
from scripts.lib.dbt.lock import writing_lock
from scripts.lib.dbt.target import STAGING
from scripts.lib.privacy.people import targets
from scripts.lib.privacy.place import Place, opened_place
from scripts.lib.privacy.retention import drop, old_partitions, refused, thin_refused

MAX_DAYS = 36_500
DESCRIPTION = """Drop the months of raw.events that ended so long ago and that every target of dbt
has built, in the destination and in the source, and the text of what was refused so long ago, which
stays as a count. Staging and marts keep their history. A month that is still needed stays, with the
reason, and the command ends with 1. It says what would go first, and asks.

RETAIN_EVENTS_DAYS and RETAIN_REJECTED_DAYS have each scripts/dbt build do so after it succeeded."""


def main() -> int:
    """`scripts/retain`."""
    arguments = parser("retain", DESCRIPTION)
    arguments.add_argument("--older-than", type=_days, metavar="DAYS", help="events, as 400d")
    arguments.add_argument(
        "--rejected-older-than", type=_days, metavar="DAYS", help="what was refused, as 90d"
    )
    arguments.add_argument("--dry-run", action="store_true", help="say what would go and end")
    arguments.add_argument("--yes", action="store_true", help="do not ask")
    options = arguments.parse_args()
    if options.older_than is None and options.rejected_older_than is None:
        arguments.error("say what: --older-than or --rejected-older-than")
    ages = (options.older_than or 0, options.rejected_older_than or 0)
    with open_databases(read_settings()) as databases:
        if options.dry_run or not options.yes:
            found, kept = retain(databases, *ages, dry_run=True)
            if options.dry_run or not found:
                return 1 if kept else 0
            if not sys.stdin.isatty():
                raise UserError("nobody is there to be asked: add --yes, or --dry-run to only look")
            if input("This cannot be undone. Drop? [y/N] ").strip().lower() not in ("y", "yes"):
                say("Nothing was dropped.")
                return 1
        _, kept = retain(databases, *ages)
        return 1 if kept else 0


def retain(
    databases: Databases, events_days: int, rejected_days: int, *, dry_run: bool = False
) -> tuple[int, int]:
    """Drops what is older than so many days, 0 for nothing, and says what goes and what stays.

    Returns how many months and refused rows went, and how many months stayed. Raises
    UserError where a database is unreachable.
    """
    found = kept = 0
    verb = "would drop" if dry_run else "dropped"
    with _locked(databases) as place:
        for month in old_partitions(place, events_days) if events_days else ():
            size = f"{counted(month.row_count, 'row')}, {month.size:,} bytes"
            if reason := month.reason or ("" if dry_run else drop(month)):
                kept += 1
                say(f"{month.where}: keeps raw.{month.name} ({size}): {reason}")
            else:
                found += 1
                say(f"{month.where}: {verb} raw.{month.name} ({size})")
        if rejected_days:
            rows, held_bytes = refused(place.source, rejected_days)
            found += rows
            if rows and not dry_run:
                thin_refused(place, rejected_days)
            say(f"source: {verb} the text of {rows:,} refused ({held_bytes:,} bytes)")
    if not found and not kept:
        say("Nothing is that old.")
    return found, kept


@contextmanager
def _locked(databases: Databases) -> Iterator[Place]:
    """The databases, while nothing is built and nobody erased."""
    with ExitStack() as stack:
        place = stack.enter_context(opened_place(databases))
        for schema in sorted({STAGING, *(target.staging for target in targets(place.destination))}):
            stack.enter_context(writing_lock(databases.destination, say, schema))
        yield place


def _days(text: str) -> int:
    number = text.removesuffix("d")
    if not (text.endswith("d") and number.isascii() and number.isdecimal()):
        raise argparse.ArgumentTypeError("an age is a number of days, as 400d")
    if not 1 <= int(number[:9]) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"an age is from 1d to {MAX_DAYS}d")
    return int(number)


if __name__ == "__main__":
    run(main)
