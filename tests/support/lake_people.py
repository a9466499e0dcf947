"""People in raw and in a lake, of whom one is to be erased."""

from __future__ import annotations

import random
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from scripts.lib.base.database import Databases
from scripts.lib.privacy.erasure import erase, preview
from scripts.lib.privacy.people import Identity
from scripts.lib.privacy.place import opened_place
from tests.support.warehouse import land, page_view

EMAIL = "jane.unmistakable@example.com"
JANE = {
    Identity("email", EMAIL), Identity("user", "jane-4711"), Identity("anonymous", "visitor-8f3e")
}  # fmt: skip
DAYS = [f"2026-0{month}-{day:02d} 12:00+00" for month in (3, 9) for day in (1, 2)]


def databases(url: str) -> Databases:
    return Databases(url, url, url, embedded=False)


def nothing() -> None:
    """There are no marts here."""


def story(rng: random.Random, number: int) -> dict[str, Any]:
    """An event of jane, of others, or of others that say something of her; some are copies."""
    user: object = rng.choice(["jane-4711", "bob", 17, None])
    anonymous = rng.choice(["visitor-8f3e", "visitor-of-bob", None])
    said = rng.choice(
        ["/", f"/hi/{EMAIL.upper()}", "/?e=jane.unmistakable%40example.com&x", "jane-4711"]
    )
    return page_view(
        f"e-{rng.randrange(60)}", user, activity={"path": said}, n=number,
        **({"anonymousId": anonymous} if anonymous or user is None else {}),
    )  # fmt: skip


def fill(connection: psycopg.Connection[Any], rng: random.Random) -> None:
    for number in range(40):
        land(connection, [story(rng, number)], rng.choice(DAYS))
    connection.execute(
        "insert into raw.opt_outs (changed_at, id_kind, id, is_out) values"
        " (now(), 'user', 'jane-4711', true), (now(), 'anonymous', 'visitor-of-bob', true)"
    )
    for user, payload in (
        ("jane-4711", {"email": EMAIL, "ficoScore": 812}),
        ("bob", {"referredBy": EMAIL}),
    ):
        connection.execute(
            "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
            " values (now(), now(), 'default', %s, %s)",
            [user, Jsonb(payload)],
        )
        connection.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values (now(), 'default', 'x', 'x', %s)",
            [f'{{"userId": "{user}",\n\\.\n'],
        )


def erased(database: str) -> dict[str, int]:
    """Erases jane, and returns rows by table, which are those of the preview."""
    with opened_place(databases(database)) as place:
        said, _ = preview(place, JANE)
        assert erase(place, JANE, nothing, print) == said
    return dict(said)
