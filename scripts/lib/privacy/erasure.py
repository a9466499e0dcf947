"""Erases people from the databases: from raw, and from all that dbt made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from collector.registry import illegal_ids
from scripts.lib.base.cli import UserError
from scripts.lib.lake.registry import Registered, lakes, require_extra
from scripts.lib.privacy.journal import Erasure, begin, unfinished
from scripts.lib.privacy.people import (
    Connection,
    Identity,
    name_people,
    statement,
    targets,
)
from scripts.lib.privacy.place import Place

# Tables by event, visitor and user that others follow, besides those that mark_staging is about.
_MODELS = (
    "staging.stg_opt_outs",
    "intermediate.int_events",
    "intermediate.int_aliases",
    "intermediate.int_identities",
    "intermediate.int_users__changed",
)
_USER_IDS = """
    delete from raw.user_ids where
        user_id in (select people.id from named_people as people where people.kind = 'user')
        or email in (select people.id from named_people as people where people.kind = 'email')
"""
_READ_ROWS = "copy (select * from secret.erasing_rows where erasure_id = %s) to stdout"
_WRITE_ROWS = "copy secret.erasing_rows from stdin"
_FORGET_ROWS = "delete from secret.erasing_rows where erasure_id = %s"
_NEW_BUILD = b"""
    insert into {staging}.builds (invocation_id, as_of, as_of_xid)
    values (gen_random_uuid()::text, statement_timestamp(), pg_snapshot_xmin(pg_current_snapshot()))
    returning build_id
"""
# The look before a build takes marks that are as they were for a reason to leave the build out.
_TOUCH_MARKS = b"update {staging}.watermarks set advanced_at = clock_timestamp()"
_FORGET_MARKS = b"""
    delete from {staging}.watermarks
    where model_name not in ({name} || '.stg_events', {name} || '.stg_users')
"""
_TABLES = "select tablename from pg_tables where schemaname = %s"
# In a destination the audit says which one of the source's it is.
_IS_ERASED = "select 1 from raw.erasures where destinations = array[%s::text]"
_ERASED = """
    insert into raw.erasures (state, finished_at, destinations, identity_hashes, counts)
    select 'finished', now(), array[%s::text], array_agg(secret.identity_hash(kind, id)), %s
    from named_people
"""

Say = Callable[[str], None]


class NotYetError(UserError):
    """Other destinations are still to do."""


def preview(place: Place, identities: Collection[Identity]) -> tuple[Counter[str], list[str]]:
    """Rows by table that an erasure would take now, and why of some lakes it is not known.

    Takes none.
    """
    out_of_reach: list[str] = []
    with undone(place.source):
        name_people(place.source, identities)
        counts = _erase_from_raw(place.source, 0, find=True)
        for lake in lakes(place.source):
            try:
                counts += _erase_from_lake(place.source, lake, 0, preview=True)
            except UserError as error:
                out_of_reach.append(str(error))
        if place.ends is None:
            return counts + _erase_from_targets(place.source, 0), out_of_reach
        with undone(place.destination):
            _copy_rows(place, 0)
            name_people(place.destination, identities)
            counts += _erase_from_raw(place.destination, 0, find=False)
            return counts + _erase_from_targets(place.destination, 0), out_of_reach


def erase(
    place: Place, identities: Collection[Identity], build: Callable[[], None], say: Say
) -> Counter[str]:
    """Erases people and returns rows by table.

    `build` makes anew what dbt keeps in prod. Raises NotYetError where other destinations are
    still to do, and UserError; what was done stays done, and `go_on` does the rest.
    """
    return _finish(place, begin(place.source, identities), build, say)


def go_on(place: Place, build: Callable[[], None], say: Say) -> bool:
    """Finishes what was begun and not finished; whether there was anything."""
    found = False
    while erasure := unfinished(place.source):
        found = True
        say("An erasure was begun and not finished: going on with it ...")
        _finish(place, erasure, build, say)
    return found


def _finish(place: Place, erasure: Erasure, build: Callable[[], None], say: Say) -> Counter[str]:
    identities = erasure.identities()
    if not erasure.is_gone_from_raw:
        say("Erasing from raw: one pass over all events ...")
        with place.source.transaction():
            name_people(place.source, identities)
            counts = _erase_from_raw(place.source, erasure.erasure_id, find=True)
            if place.ends is None:
                counts += _erase_from_targets(place.source, erasure.erasure_id)
            erasure.gone_from_raw(counts)
    # First, as what keeps a destination from its end is no reason to leave anybody in a lake.
    out_of_reach = _finish_lakes(place, erasure, identities, say)
    if place.name not in erasure.destinations:
        _finish_destination(place, erasure, identities, build, say)
    if out_of_reach:
        reasons = "\n".join(out_of_reach)
        raise UserError(
            f"not yet erased from each lake:\n{reasons}\nMend that, then run scripts/erase "
            "--resume. Forget a lake that is no more before: scripts/export --to URI --forget."
        )
    if others := place.others() - set(erasure.destinations):
        raise NotYetError(
            f"erased here; still to do for {', '.join(sorted(others))}: run scripts/erase --resume "
            "with DESTINATION_DATABASE_URL set to each. A slot of a destination that is no more "
            "is dropped by scripts/link --remove."
        )
    erasure.finish()
    return erasure.counts


def _finish_lakes(
    place: Place, erasure: Erasure, identities: Collection[Identity], say: Say
) -> list[str]:
    """Erases from each lake that is still to do and can be reached; why others cannot."""
    out_of_reach: list[str] = []
    for lake in lakes(place.source):
        if (done := f"lake {lake.uri}") in erasure.destinations:
            continue
        say(f"Erasing from the lake {lake.uri}: one pass over all that it has of here ...")
        name_people(place.source, identities)
        try:
            counts = _erase_from_lake(place.source, lake, erasure.erasure_id)
        except UserError as error:
            say(f"Not done: {error}")
            out_of_reach.append(str(error))
        else:
            erasure.count(counts)
            erasure.done(done)
    return out_of_reach


def _finish_destination(
    place: Place,
    erasure: Erasure,
    identities: Collection[Identity],
    build: Callable[[], None],
    say: Say,
) -> None:
    destination = place.destination
    if place.ends is not None:
        place.await_arrival(say)
        key = f"{place.ends[0].slot_name} {erasure.erasure_id}"
        if not destination.execute(_IS_ERASED, [key]).fetchone():
            say("Erasing from the destination ...")
            with destination.transaction():
                _copy_rows(place, erasure.erasure_id)
                name_people(destination, identities)
                counts = _erase_from_raw(destination, erasure.erasure_id, find=False)
                counts += _erase_from_targets(destination, erasure.erasure_id)
                destination.execute(_FORGET_ROWS, [erasure.erasure_id])
                destination.execute(_ERASED, [key, Jsonb(counts)])
            erasure.count(counts)
    prod = [target for target in targets(destination) if not target.prefix]
    if prod:
        say("Having dbt compute anew what was made of it ...")
        build()
        name_people(destination, identities)
        destination.execute(prod[0].fill(statement("forget")))
    for connection in {id(each): each for each in (place.source, destination)}.values():
        connection.execute("analyze")  # statistics have the values that most rows have
    erasure.done(place.name)


def note_rows(connection: Connection, erasure_id: int) -> None:
    """Notes the rows of raw that are about the people named: one pass over each table."""
    values = {"erasure_id": erasure_id, "illegal_ids": illegal_ids()}
    connection.execute(statement("find_rows"), values)
    connection.execute(statement("find_other_rows"), values)
    connection.execute("analyze secret.erasing_rows")


def _erase_from_raw(connection: Connection, erasure_id: int, *, find: bool) -> Counter[str]:
    """Erases the noted rows from raw of one database, where `find` says so after noting them."""
    # First: waits for requests that update these users, and has others wait until they are gone.
    counts = Counter({"raw.user_ids": connection.execute(_USER_IDS).rowcount})
    if find:
        note_rows(connection, erasure_id)
    return counts + _counts(connection, statement("erase_raw"), {"erasure_id": erasure_id})


def _erase_from_targets(connection: Connection, erasure_id: int) -> Counter[str]:
    """Erases from staging of all targets in a database, and from what is made of it.

    In prod the next build computes the rest. In others, which are developers', all that was made
    of staging is emptied: their next build makes it anew.
    """
    counts: Counter[str] = Counter()
    for target in targets(connection):
        [build_id] = connection.execute(target.fill(_NEW_BUILD)).fetchone() or (0,)
        names = {"erasure_id": erasure_id, "build_id": build_id}
        connection.execute(target.fill(statement("mark_staging"), **names))
        counts += _counts(connection, target.fill(statement("erase_staging"), **names))
        if target.prefix:
            query = target.fill(statement("empty_target"))
            if emptied := [name for (name,) in connection.execute(query)]:
                connection.execute(f"truncate {', '.join(emptied)}".encode())
            connection.execute(target.fill(_FORGET_MARKS))
        else:
            connection.execute(target.fill(_TOUCH_MARKS))
            for model in _MODELS:
                schema, _, table = model.partition(".")
                if (table,) in connection.execute(_TABLES, [schema]).fetchall():
                    done = connection.execute(target.fill(statement(f"models/{model}"), **names))
                    if not table.endswith("__changed"):
                        counts[model] = done.rowcount
        connection.execute("drop table staged_events")
    return counts


def _erase_from_lake(
    source: Connection, lake: Registered, erasure_id: int, *, preview: bool = False
) -> Counter[str]:
    require_extra()
    from scripts.lib.privacy.lakes import erase_from_lake  # noqa: PLC0415  with the extra only

    return erase_from_lake(source, lake, erasure_id, preview=preview)


def _copy_rows(place: Place, erasure_id: int) -> None:
    """Tells the destination which rows of raw it is about."""
    reading, writing = place.source.cursor(), place.destination.cursor()
    with reading.copy(_READ_ROWS.encode(), [erasure_id]) as rows, writing.copy(_WRITE_ROWS) as copy:
        for data in rows:
            copy.write(data)


def _counts(connection: Connection, query: Any, values: Any = None) -> Counter[str]:  # noqa: ANN401
    return Counter(dict(connection.execute(query, values).fetchall()))


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """A transaction of which nothing stays."""
    with connection.transaction(force_rollback=True):
        yield
