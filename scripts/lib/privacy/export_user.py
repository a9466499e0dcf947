"""Writes everything that is held about people as JSON: `scripts/export-user`."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from psycopg import sql

from scripts.lib.base.cli import UserError, parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.lake.registry import lakes, require_extra
from scripts.lib.privacy.erasure import note_rows, undone
from scripts.lib.privacy.people import (
    Connection,
    Identity,
    add_arguments,
    all_identities,
    given_people,
    name_people,
    statement,
    targets,
)
from scripts.lib.privacy.place import Place, opened_place

DESCRIPTION = """Write everything that is held about people as JSON: their ids and emails, what was
sent of them (events, users, what was refused), in raw and in lakes, and what was computed of it. Of
what others sent that mentions them it says which rows. Those given are found with all of their ids
and emails.

It goes to a file that only you can read, or to the standard output."""

_MENTIONS = "eventsOfOthersThatMentionThem"
# Without what names others, with whom events were confused.
_THEIRS = """
    select to_jsonb(held) - array['other_user_ids', 'other_anonymous_ids', 'seen_user_ids']
    from {table} as held where held.{column} = any({ids}) order by held
"""


def export(place: Place, identities: Collection[Identity]) -> dict[str, Any]:
    """Everything that is held, by where it is held; changes nothing."""
    sent: defaultdict[str, dict[str, object]] = defaultdict(dict)
    with undone(place.source):
        name_people(place.source, identities)
        note_rows(place.source, 0)
        rows = [row[:2] for row in place.source.execute(statement("export_raw"))]
        for lake in lakes(place.source):
            require_extra()
            from scripts.lib.privacy.lakes import held_in_lake  # noqa: PLC0415  with the extra only

            rows += held_in_lake(place.source, lake)
    theirs = {held["event_row_id"] for part, held in rows if part == "events"}
    for part, held in rows:  # a lake has what raw has, and more where raw is retained for a time
        # A copy may name them that only the lake still has: then all copies are theirs.
        if part != _MENTIONS or held["event_row_id"] not in theirs:
            sent[part][json.dumps(held, sort_keys=True)] = held
    return {
        "identities": {
            kind: sorted(identity.id for identity in identities if identity.kind == kind)
            for kind in ("user", "email", "anonymous")
        },
        "sent": {part: list(held.values()) for part, held in sent.items()},
        "computed": _computed(place.destination, identities),
    }


def _computed(connection: Connection, identities: Collection[Identity]) -> dict[str, Any]:
    """Rows of what dbt built in prod, by table."""
    with undone(connection):
        name_people(connection, identities)
        people = connection.execute("select kind, id from people_in_marts").fetchall()
    anonymous_ids = [id_ for kind, id_ in people if kind == "anonymous"]
    user_ids = [id_ for kind, id_ in people if kind == "user"]
    user_ids += [f"anonymous:{id_}" for id_ in anonymous_ids]
    found = {}
    for schema, table, columns in connection.execute(statement("built_tables")).fetchall():
        by_user = "user_id" in columns
        query = sql.SQL(_THEIRS).format(
            table=sql.Identifier(schema, table),
            column=sql.Identifier("user_id" if by_user else "anonymous_id"),
            ids=sql.Literal(user_ids if by_user else anonymous_ids),
        )
        if rows := [row for (row,) in connection.execute(query)]:
            found[f"{schema}.{table}"] = rows
    return found


def main() -> int:
    """`scripts/export-user`."""
    arguments = parser("export-user", DESCRIPTION)
    add_arguments(arguments)
    arguments.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    options = arguments.parse_args()
    people = given_people(options)
    with open_databases(read_settings()) as databases, opened_place(databases) as place:
        prod = next((each for each in targets(place.destination) if not each.prefix), None)
        identities = all_identities(people, place.source, place.destination, prod)
        held = export(place, identities)
    if not held["sent"] and not held["computed"]:
        raise UserError("nothing is held under what was given")
    text = json.dumps(held, ensure_ascii=False, indent=2)
    if options.output is None:
        say(text)
        return 0
    try:
        descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"--output {options.output} is there already: name another") from None
    except OSError as error:
        raise UserError(f"--output {options.output} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    parts = {**held["sent"], **held["computed"]}
    for name, rows in parts.items():
        say(f"{len(rows):12,}  {name}")
    return 0


if __name__ == "__main__":
    run(main)
