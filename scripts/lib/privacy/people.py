"""Who is meant: the ways to name people on a command line, and all identities known of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql

from collector.registry import illegal_ids
from scripts.lib.base.cli import UserError

Connection = psycopg.Connection[Any]
Kind = Literal["user", "email", "anonymous"]
MAX_ID = 256  # characters, of ids and emails
_SQL = Path(__file__).with_name("sql")


class Identity(NamedTuple):
    """One id or email; emails are in lower case and without blanks around them."""

    kind: Kind
    id: str


def add_arguments(arguments: argparse.ArgumentParser) -> None:
    """The ways to name people."""
    group = arguments.add_argument_group("who", "at least one; each can be repeated")
    ways: tuple[tuple[Kind, str, str, str], ...] = (
        ("user", "--user", "ID", "a userId"),
        ("email", "--email", "EMAIL", "an email"),
        ("anonymous", "--anonymous-id", "ID", "an anonymousId"),
    )
    for kind, option, metavar, meaning in ways:
        group.add_argument(
            option,
            dest="people",
            action="append",
            default=[],
            type=partial(_identity, kind),
            metavar=metavar,
            help=meaning,
        )
    group.add_argument(
        "--file",
        dest="files",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="one a line: a userId, or email:EMAIL, anonymous:ID, user:ID",
    )


def given_people(options: argparse.Namespace) -> set[Identity]:
    """Who was named. Raises UserError where nobody was, or a file cannot be read."""
    people = set(options.people)
    for path in options.files:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--file {path} cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            if text := line.strip():
                try:
                    people.add(_identity_of_line(text))
                except argparse.ArgumentTypeError as error:
                    raise UserError(f"--file {path}, line {number}: {error}") from error
    if not people:
        raise UserError("say who: --user, --email, --anonymous-id or --file; see --help")
    return people


def _identity_of_line(text: str) -> Identity:
    kinds: tuple[Kind, ...] = ("user", "email", "anonymous")
    for kind in kinds:
        if text.startswith(f"{kind}:"):
            return _identity(kind, text.removeprefix(f"{kind}:"))
    return _identity("user", text)


def _identity(kind: Kind, text: str) -> Identity:
    """Raises ArgumentTypeError for what can be nobody's; the message does not repeat it."""
    if kind == "email":
        text = text.strip().lower()
        if not 3 <= len(text) <= MAX_ID or "@" not in text[1:-1]:
            raise argparse.ArgumentTypeError("this is no email")
    elif not 1 <= len(text) <= MAX_ID:
        raise argparse.ArgumentTypeError(f"an id has 1 to {MAX_ID} characters")
    if "\x00" in text:
        raise argparse.ArgumentTypeError("an id has no NUL in it")
    if kind != "email" and text.strip().lower() in illegal_ids():
        raise argparse.ArgumentTypeError("this id means nobody (seed illegal_ids)")
    return Identity(kind, text)


def statement(name: str) -> bytes:
    """A statement of the folder `sql`."""
    return (_SQL / f"{name}.sql").read_bytes()


def name_people(connection: Connection, people: Iterable[Identity]) -> None:
    """Tells the statements of this session whom they are about."""
    made = connection.execute("select to_regclass('pg_temp.named_people')").fetchone()
    connection.execute(statement("names") if made == (None,) else b"truncate named_people")
    with connection.cursor().copy("copy named_people (kind, id) from stdin") as copy:
        for identity in people:
            copy.write_row(identity)
    connection.execute(
        "update named_people set needle = pg_temp.needle(kind, id),"
        " id_in_marts = pg_temp.id_in_marts(kind, id)"
    )
    connection.execute("analyze named_people")


def all_identities(
    people: Iterable[Identity], source: Connection, destination: Connection, schemas: Schemas | None
) -> set[Identity]:
    """Those given and all that is known of them in the source, and where dbt builds.

    `schemas` are those of the target whose identities count; None where nothing is built.
    """
    found = set(people)
    while True:
        before = len(found)
        name_people(source, found)
        found |= {Identity(*row) for row in source.execute(statement("accounts"))}
        if schemas:
            name_people(destination, found)
            query = schemas.fill(statement("identities"), illegal_ids=illegal_ids())
            found |= {Identity(*row) for row in destination.execute(query)}
        if len(found) == before:
            return found


class Schemas(NamedTuple):
    """Where one target of dbt is built: what the names of its schemas begin with."""

    prefix: str

    @property
    def staging(self) -> str:
        """The schema of staging, by which a target is called."""
        return f"{self.prefix}staging"

    def fill(self, statement: bytes, **values: object) -> sql.Composed:
        """A statement with what stands for `{staging}` and so on, and for `values`, as literals.

        `{name}` is the name of the schema of staging, `{mark}` that of the mark of stg_events.
        """
        names = {
            layer: sql.Identifier(f"{self.prefix}{layer}")
            for layer in ("staging", "intermediate", "marts", "reports")
        }
        literals = {"name": self.staging, "mark": f"{self.staging}.stg_events", **values}
        texts = {
            name: value if isinstance(value, sql.Composable) else sql.Literal(value)
            for name, value in literals.items()
        }
        return sql.SQL(statement.decode()).format(**names, **texts)


_TARGETS = """
    select regexp_replace(schemaname, 'staging$', '') from pg_tables
    where schemaname ~ '(^|_)staging$' and tablename = 'stg_events' and exists (
        select from pg_tables as marks
        where marks.schemaname = pg_tables.schemaname and marks.tablename = 'watermarks'
    )
    order by 1
"""


def targets(connection: Connection) -> list[Schemas]:
    """The targets that dbt has built in a database, prod first where it has."""
    return [Schemas(prefix) for (prefix,) in connection.execute(_TARGETS)]
