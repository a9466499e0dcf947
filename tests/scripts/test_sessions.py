"""What a database or a role sets for its sessions changes nothing of what Headwater does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from time import sleep
from typing import LiteralString
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from collector.connection import DEFAULTS, open_connection
from scripts.lib.demo.generator import generate
from tests.support.collector import running_collector
from tests.support.scripts import starting
from tests.support.warehouse import MARTS

# One other value for each of those that statements rely on, and for others that they may meet.
OTHERWISE = {
    "default_transaction_isolation": "serializable",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "search_path": "",
    "TimeZone": "America/St_Johns",
}
STYLES = ("ISO", "SQL", "Postgres", "German")
ORDERS = ("DMY", "MDY", "YMD")
VALUES = """
    select name, value from pg_settings, unnest(coalesce(
        enumvals, case vartype when 'bool' then '{on,off}' else array[min_val, max_val] end
    )) as value
    where name = any (%s) and name <> 'DateStyle'
"""
MODELS = ("dbt", "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
COMMANDS = (
    MODELS,
    ("status",),
    ("report",),
    ("keys", "list"),
    ("site", "--no-docs", "--output", "site"),
    ("erase", "--user", "nobody", "--dry-run"),
    ("retain", "--older-than", "3650d", "--dry-run"),
    ("export", "--to", "lake"),
    ("migrate",),
)


def test_each_setting_is_tried() -> None:
    assert DEFAULTS.keys() <= OTHERWISE.keys()


def test_whatever_is_set_a_session_begins_as_by_default(database: str) -> None:
    """Every value that PostgreSQL knows of each, and the ends of the numbers."""
    wanted = {name: f"select split_part(current_setting('{name}'), ',', 1)" for name in DEFAULTS}
    values = [("DateStyle", f"{style}, {order}") for style in STYLES for order in ORDERS]
    with psycopg.connect(database) as connection:
        values += connection.execute(VALUES, [list(DEFAULTS)]).fetchall()
    assert {name for name, _ in values} == DEFAULTS.keys()
    for name, value in values:
        options = f"-c {name}=" + value.replace(" ", "\\ ")
        with psycopg.connect(database, options=options) as connection:
            assert connection.execute(f"show {name}".encode()).fetchone() == (value,)
        with open_connection(database, options=options) as connection:
            for each, query in wanted.items():
                row = connection.execute(query.encode()).fetchone()
                assert row == (DEFAULTS[each],), (name, value)


@pytest.mark.slow
def test_settings_of_a_database_change_nothing(
    create_database: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    stream = generate(users=15, seed=5)
    marts: list[dict[str, list[tuple[object, ...]]]] = []
    for settings in ({}, OTHERWISE):
        folder = tmp_path / f"of-{len(settings)}"
        folder.mkdir()
        with create_database() as database:
            name = sql.Identifier(urlsplit(database).path[1:])
            for setting, value in settings.items():
                alteration = sql.SQL("alter database {} set {} to {}")
                execute(database, alteration.format(name, sql.Identifier(setting), value))
            with (
                running_collector(database) as collector,
                httpx.Client(base_url=collector.url, timeout=60) as client,
            ):
                user: dict[str, object] = {
                    "email": "ann@example.com",
                    "userId": "7",
                    "ficoScore": 700,
                    "occurredAt": "2026-03-01T00:00:00Z",
                }
                with ThreadPoolExecutor(8) as together:
                    sent = together.map(partial(post_one, client, user), range(400))
                    assert set(sent) <= {200, 201}
                assert client.post("/events", json=stream.events).status_code == 200
                assert client.get("/users/7").json()["ficoScore"] == 700
                assert len(client.get("/users").json()) == 1
            with starting(database, folder) as start:
                for script, *arguments in COMMANDS if settings else (MODELS,):
                    process = start(script, *arguments)
                    said = "".join(process.communicate())
                    assert process.returncode == 0, (script, settings, said[-3000:])
                    execute(database, "update staging.builds set is_whole = true")  # for status
            marts.append({mart: content(database, mart) for mart in MARTS})
    assert marts[0] == marts[1]


def execute(database: str, statement: LiteralString | sql.Composed) -> None:
    """Runs a statement."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement)


def post_one(client: httpx.Client, user: dict[str, object], number: int) -> int:
    """The status of an event, or of the user once more, sent while others are."""
    time = f"2026-03-02T00:{number // 60:02}:{number % 60:02}Z"
    event = {"eventId": f"e{number}", "eventType": "page_viewed", "userId": 7, "activity": {}}
    path, body = ("/users", user) if number % 2 else ("/events", event | {"occurredAt": time})
    while (status := client.post(path, json=body).status_code) == 429:  # too much at a time
        sleep(0.1)
    return status


def content(database: str, mart: str) -> list[tuple[object, ...]]:
    """The rows of a mart in an order, but for when and where they landed, as by default."""
    query = f"select (to_jsonb(mart) - %s::text[])::text from marts.{mart} as mart order by 1"  # noqa: S608
    with open_connection(database) as connection:
        connection.execute("set timezone to 'UTC'")
        values = [["received_at", "event_row_id"]]
        return connection.execute(query.encode(), values).fetchall()
