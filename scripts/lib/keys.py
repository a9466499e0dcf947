"""Makes, lists and revokes the keys of the HTTP API: `scripts/keys`."""

from __future__ import annotations

import argparse
import secrets
import sys
from hashlib import sha256
from pathlib import Path

import psycopg
from rich.table import Table

from collector.connection import described, open_connection
from collector.keys import Scope
from scripts.lib.base.cli import UserError, open_console, parser, plain, read_settings, run, say
from scripts.lib.base.database import open_databases

SNIPPETS = Path(__file__).with_name("snippets.md")
_ADD = "insert into raw.api_keys (name, scope, key_hash) values (%s, %s, %s)"
_REVOKE = """
    update raw.api_keys set revoked_at = now()
    where name = %(name)s and revoked_at is null and key_id not in (
        select max(key_id) from raw.api_keys
        where name = %(name)s and revoked_at is null and %(keep_newest)s
        group by scope
    )
"""
_REVOKE_ONE = "update raw.api_keys set revoked_at = now() where key_hash = %s"
_LIST = "select name, scope, key_id, created_at, revoked_at from raw.api_keys order by key_id"


def read_arguments() -> argparse.Namespace:
    """The arguments of the command."""
    arguments = parser(
        "keys",
        "Make, list and revoke the keys of the HTTP API. A running collector knows of a change\n"
        "within seconds. Once a key was made, requests without one are refused.\n\n"
        "To replace a key: create NAME again, deploy the new key, revoke NAME --keep-newest.",
    )
    verbs = arguments.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", metavar="NAME", help="who uses it: the source of what it sends")
    create.add_argument("--scope", required=True, choices=["write", "read"], help="what it may do")
    create.add_argument(
        "--snippet",
        action="store_true",
        help="print also how to send an event with it: curl, Python, JavaScript, PHP, Go",
    )
    create.add_argument("--url", help="of the collector in snippets (http://localhost:PORT)")
    verbs.add_parser("list", help="show all keys, without the keys themselves")
    revoke = verbs.add_parser("revoke", help="make the keys of a name worthless")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument(
        "--keep-newest", action="store_true", help="all but the newest of each scope"
    )
    revoke.add_argument("--dry-run", action="store_true", help="only say how many that would be")
    parsed = arguments.parse_args()
    if parsed.verb == "create" and parsed.snippet and parsed.scope != "write":
        create.error("--snippet is for keys of --scope write: it sends")
    return parsed


def create_key(connection: psycopg.Connection, name: str, scope: Scope) -> str:
    """Makes a key and returns it; only its hash is kept. Raises CheckViolation for a bad name."""
    key = f"hw_{secrets.token_urlsafe(32)}"
    connection.execute(_ADD, [name, scope, sha256(key.encode()).digest()])
    return key


def revoke_keys(connection: psycopg.Connection, name: str, *, keep_newest: bool = False) -> int:
    """Revokes the keys of a name, with `keep_newest` all but the last of each scope; how many."""
    return connection.execute(_REVOKE, {"name": name, "keep_newest": keep_newest}).rowcount


def revoke_key(connection: psycopg.Connection, key: str) -> None:
    """Revokes one key."""
    connection.execute(_REVOKE_ONE, [sha256(key.encode()).digest()])


def show_snippets(key: str, url: str) -> None:
    """Prints how to send an event with a key, in several languages."""
    say("\n" + SNIPPETS.read_text().replace("@KEY@", key).replace("@URL@", url.rstrip("/")))


def show_keys(connection: psycopg.Connection) -> None:
    """Prints a table of all keys."""
    table = Table("name", "scope", "id", "created", "revoked", box=None)
    for name, scope, key_id, created_at, revoked_at in connection.execute(_LIST):
        created, revoked = (
            f"{at:%Y-%m-%d %H:%M %Z}" if at else "" for at in (created_at, revoked_at)
        )
        table.add_row(plain(name), scope, str(key_id), created, revoked)
    open_console().print(table)


def main() -> int:
    """`scripts/keys`."""
    arguments = read_arguments()
    settings = read_settings()
    with (
        open_databases(settings) as databases,
        open_connection(databases.migration, autocommit=True) as connection,
    ):
        try:
            if arguments.verb == "create":
                key = create_key(connection, arguments.name, arguments.scope)
                say("Keep this key, it is not shown again:", to=sys.stderr)
                say(key)
                if arguments.snippet:
                    show_snippets(key, arguments.url or f"http://localhost:{settings.port}")
            elif arguments.verb == "list":
                show_keys(connection)
            else:
                with connection.transaction(force_rollback=arguments.dry_run):
                    revoked = revoke_keys(
                        connection, arguments.name, keep_newest=arguments.keep_newest
                    )
                if not revoked:
                    raise UserError(f"no key to revoke is called {arguments.name}; see keys list")
                say(f"{'Would revoke' if arguments.dry_run else 'Revoked'}: {revoked}")
        except psycopg.errors.CheckViolation:
            raise UserError("NAME must be 1 to 128 printable characters") from None
        except psycopg.errors.UndefinedTable:
            raise UserError(
                f"{described(databases.migration)} has no raw schema yet; run scripts/migrate"
            ) from None
    return 0


if __name__ == "__main__":
    run(main)
