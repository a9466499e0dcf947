"""Erases people from everything that is held about them: `scripts/erase`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from scripts.lib.base.cli import UserError, counted, parser, read_settings, run, say
from scripts.lib.base.database import Databases, open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.lock import writing_lock
from scripts.lib.dbt.run import run_dbt_locked
from scripts.lib.dbt.target import STAGING
from scripts.lib.privacy.erasure import erase, go_on, preview
from scripts.lib.privacy.files import forget_dbt_files, rebuild_pages
from scripts.lib.privacy.journal import unfinished
from scripts.lib.privacy.people import (
    Identity,
    add_arguments,
    all_identities,
    given_people,
    targets,
)
from scripts.lib.privacy.place import opened_place

DESCRIPTION = """Erase people: their events, users and ids in raw, and all that was made of them in
staging, intermediate and marts, on the source and on the destination; what scripts/export wrote to
lakes; what others' events say of them; what was refused; dbt's logs and the site of this machine.
First says how many rows that is, and asks. docs/privacy.md has what it cannot reach.

Those given are found with all of their ids and emails. What comes from then on under the same ids
is a new person's. Killed or failed, it is finished by --resume, or by the next erasure. Builds wait
meanwhile; the collector does not."""


def read_arguments() -> argparse.Namespace:
    """The arguments of the command."""
    arguments = parser("erase", DESCRIPTION)
    add_arguments(arguments)
    arguments.add_argument("--dry-run", action="store_true", help="say what it is and end")
    arguments.add_argument("--yes", action="store_true", help="do not ask")
    arguments.add_argument(
        "--resume", action="store_true", help="finish what was begun; nobody is to be named then"
    )
    arguments.add_argument(
        "--site",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="build the site in DIR anew, too",
    )
    options = arguments.parse_args()
    if options.resume and (options.people or options.files or options.dry_run):
        arguments.error("--resume goes without names and without --dry-run")
    return options


def main() -> int:
    """`scripts/erase`."""
    options = read_arguments()
    people = set() if options.resume else given_people(options)
    settings = read_settings()
    with open_databases(settings) as databases:
        return erase_people(settings, databases, people, options)


def erase_people(
    settings: Settings, databases: Databases, people: set[Identity], options: argparse.Namespace
) -> int:
    """Says what would go, asks, and has it gone; the exit status."""
    with ExitStack() as stack:
        place = stack.enter_context(opened_place(databases))
        built = [target.staging for target in targets(place.destination)]
        # prod last: its lock is the one that dbt inherits.
        for schema in sorted({*built, STAGING}, key=lambda name: name == STAGING):
            held = stack.enter_context(writing_lock(databases.destination, say, schema))

        def build() -> None:
            forget_dbt_files()
            output: list[str] = []
            arguments = ["run", "--target", "prod"]
            status = run_dbt_locked(arguments, settings, databases.destination, held, output.append)
            if status:
                lines = "\n".join(output[-20:])
                raise UserError(
                    f"dbt run failed:\n{lines}\nRaw and staging have nothing of them any more, the "
                    "marts still have: mend it, then scripts/erase --resume"
                )
            rebuild_pages(settings, databases.destination, options.site, say)

        if options.dry_run:
            if unfinished(place.source):
                say("An erasure is unfinished, and left as it is: scripts/erase --resume ends it.")
        elif not go_on(place, build, say) and options.resume:
            say("No erasure is unfinished.")
        if not people:
            return 0
        prod = next((each for each in targets(place.destination) if not each.prefix), None)
        identities = all_identities(people, place.source, place.destination, prod)
        if not options.yes or options.dry_run:
            counts, out_of_reach = preview(place, identities)
            for reason in out_of_reach:
                say(f"Not looked at: {reason}")
            _show(counts, identities, "Would erase" if options.dry_run else "To be erased")
            if options.dry_run or not (counts or out_of_reach):
                return 0
            if not _agreed():
                say("Nothing was erased.")
                return 1
        _show(erase(place, identities, build, say), identities, "Erased")
    return 0


def _show(counts: Counter[str], identities: set[Identity], verb: str) -> None:
    """Prints rows by table; no id and no email."""
    kinds = Counter(identity.kind for identity in identities)
    say(
        f"Known by {counted(kinds['user'], 'user id')}, {counted(kinds['email'], 'email')} and "
        f"{counted(kinds['anonymous'], 'anonymous id')}."
    )
    if not counts:
        say("Nothing is held under them.")
        return
    say(f"{verb}:")
    for table, count in counts.items():
        say(f"{count:12,}  {table}")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UserError("nobody is there to be asked: add --yes, or --dry-run to only look")
    return input("This cannot be undone. Erase? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    run(main)
