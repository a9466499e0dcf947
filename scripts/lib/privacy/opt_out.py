"""Has people not counted any more, or again: `scripts/opt-out`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime

from collector.times import parse_time
from scripts.lib.base.cli import counted, parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.privacy.people import (
    Connection,
    Identity,
    add_arguments,
    all_identities,
    given_people,
    targets,
)
from scripts.lib.privacy.place import opened_place

DESCRIPTION = """Do not count people: what comes of them from now on is in no mart, and with
OPTED_OUT=raw not in raw either. What came before stays: scripts/erase takes that away. Those given
are found with all of their ids; ids that turn out to be theirs later are theirs in the marts, too.

Without names it says how many ids have opted out."""

_KINDS = ("user", "anonymous")
_ADD = """
    insert into raw.opt_outs (changed_at, id_kind, id, is_out)
    select %(at)s, %(kind)s, given.id, %(is_out)s from unnest(%(ids)s::text[]) as given (id)
    -- Who has never opted out is in.
    where %(is_out)s <> coalesce((
        select changes.is_out from raw.opt_outs as changes
        where changes.id_kind = %(kind)s and changes.id = given.id and changes.changed_at <= %(at)s
        order by changes.changed_at desc, changes.opt_out_row_id desc
        limit 1
    ), false)
"""
_COUNT = """
    select count(*) from (
        select distinct on (id_kind, id) is_out from raw.opt_outs
        order by id_kind, id, changed_at desc, opt_out_row_id desc
    ) as newest
    where is_out
"""


def main() -> int:
    """`scripts/opt-out`."""
    arguments = parser("opt-out", DESCRIPTION)
    add_arguments(arguments)
    arguments.add_argument("--undo", action="store_true", help="count them again from now on")
    arguments.add_argument(
        "--since", type=_moment, metavar="TIME", help="from then on, and not from now: RFC 3339"
    )
    options = arguments.parse_args()
    people = given_people(options) if options.people or options.files else set()
    if not people and (options.undo or options.since):
        arguments.error("say who: --user, --email, --anonymous-id or --file")
    with open_databases(read_settings()) as databases, opened_place(databases) as place:
        if not people:
            [count] = place.source.execute(_COUNT).fetchone() or (0,)
            say(f"Opted out: {counted(count, 'id')}.")
            return 0
        prod = next((each for each in targets(place.destination) if not each.prefix), None)
        identities = all_identities(people, place.source, place.destination, prod)
        at = options.since or datetime.now(UTC)
        changed = opt_out(place.source, identities, at, is_out=not options.undo)
    if not any(identity.kind in _KINDS for identity in identities):
        say("No id is known under what was given: nothing was changed.")
        return 1
    what = "counted again" if options.undo else "not counted"
    say(
        f"From {at:%Y-%m-%d %H:%M:%S} UTC on {what}: {counted(changed['user'], 'user id')} and "
        f"{counted(changed['anonymous'], 'anonymous id')}. The next scripts/dbt build applies it."
        if changed.total()
        else "Nothing was changed: it was so before."
    )
    return 0


def opt_out(
    source: Connection, identities: Collection[Identity], at: datetime, *, is_out: bool
) -> Counter[str]:
    """Has ids opt out, or in again, from `at` on; returns by kind how many were not that before."""
    changed: Counter[str] = Counter()
    with source.transaction():
        for kind in _KINDS:
            ids = sorted(identity.id for identity in identities if identity.kind == kind)
            values = {"at": at, "kind": kind, "ids": ids, "is_out": is_out}
            changed[kind] = source.execute(_ADD, values).rowcount
    return changed


def _moment(text: str) -> datetime:
    try:
        return parse_time(text).astimezone(UTC)
    except ValueError:
        raise argparse.ArgumentTypeError("a time is RFC 3339, as 2026-01-31T12:00:00Z") from None


if __name__ == "__main__":
    run(main)
