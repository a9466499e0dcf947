"""What is told by the moment of the build follows it, with new events and without."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import psycopg

from scripts.lib.demo.generator import generate
from tests.support.histories import QUICK, low_limits
from tests.support.warehouse import MARTS, Warehouse


def test_changes_of_scores_follow_the_cut_off_with_nothing_new(warehouse: Warehouse) -> None:
    """Also where it moves back; who is not concerned is not written anew."""

    def score(event_id: str, user_id: str, fico_score: int, day: str) -> dict[str, Any]:
        return {
            "eventId": event_id,
            "eventType": "credit_score_updated",
            "userId": user_id,
            "occurredAt": f"{day}T00:00:00Z",
            "activity": {"ficoScore": fico_score},
        }

    def changes(as_of: str) -> list[tuple[Any, ...]]:
        warehouse.run("--select", "+credit_profiles", as_of=as_of)
        return warehouse.query(
            "select user_id, score_change_30d, score_change_90d from marts.credit_profiles"
            " order by user_id"
        )

    warehouse.land(
        score("1", "ann", 600, "2026-06-01"),
        score("2", "ann", 650, "2026-09-15"),
        score("3", "bob", 700, "2026-07-20"),
        score("4", "cat", 720, "2026-01-01"),
    )
    september = [("ann", 50, 50), ("bob", 0, None), ("cat", 0, 0)]
    assert changes("2026-09-20 00:00+00") == september
    versions = dict(warehouse.query("select user_id, xmin::text from marts.credit_profiles"))
    assert changes("2026-10-15 00:00+00") == [("ann", 0, 50), ("bob", 0, None), ("cat", 0, 0)]
    assert changes("2026-10-18 00:00+00") == [("ann", 0, 50), ("bob", 0, 0), ("cat", 0, 0)]
    assert changes("2026-09-20 00:00+00") == september
    assert dict(
        warehouse.query(
            "select user_id, xmin::text = %s from marts.credit_profiles where user_id = 'cat'",
            versions["cat"],
        )
    ) == {"cat": True}


def captured_columns(warehouse: Warehouse) -> list[str]:
    """Columns in subqueries of what dbt ran last that none of their own relations has.

    PostgreSQL takes such a column from the query around, where it is true of every row. Each
    subquery is explained alone, where it cannot; one that names a CTE is sqlfluff's to check.
    """
    found = []
    subqueries = 0
    with closing(psycopg.connect(warehouse.database_url, autocommit=True)) as connection:
        for path in sorted((warehouse.project / "target/run/headwater/models").rglob("*.sql")):
            statement = path.read_text()
            replaced = re.search(r"delete from (\S+) as", statement)
            if replaced:
                for name in set(re.findall(r'"(\w+__dbt_tmp\w*)"', statement)):
                    new_rows = (
                        f'create temporary table "{name}" as table {replaced[1]} with no data'
                    )
                    connection.execute(new_rows.encode())
            for start in re.finditer(r"\(\s*select\b", statement):
                subquery = balanced(statement[start.start() :])
                subqueries += "delete from" in statement
                try:
                    connection.execute(f"explain {subquery}".encode())
                except psycopg.errors.UndefinedColumn as error:
                    found.append(f"{path.stem}: {error}")
                except psycopg.Error:
                    continue
    assert subqueries > 15
    return found


def balanced(text: str) -> str:
    """What is inside of the parentheses that the text begins with."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:index]
    return ""


def test_cut_off_moves_on_with_and_without_events(warehouse: Warehouse) -> None:
    """Months are received over days, some events late and twice; then the cut-off moves back."""
    stream = generate(users=60, seed=9).events
    first, second, third = (stream[number * 600 : (number + 1) * 600] for number in range(3))
    late = first[::9]
    warehouse.set_seed("project_settings", low_limits(warehouse))
    warehouse.set_seed("segments", [{"segment": "path", "property": "path"}])
    warehouse.set_seed("funnels", [*warehouse.seed("funnels"), *QUICK])

    def build(as_of: str, *events: dict[str, Any]) -> None:
        warehouse.land(*events, received_at=as_of)
        warehouse.run(as_of=as_of)

    def agree(as_of: str) -> None:
        warehouse.keep_marts()
        warehouse.run("--full-refresh", as_of=as_of)
        assert warehouse.differences() == dict.fromkeys(MARTS, 0)

    def moment(event: dict[str, Any]) -> str:
        at: str = event["occurredAt"]
        return at

    build(moment(first[-1]), *(event for event in first if event not in late))
    build(moment(second[-1]), *second, *first[1::5])
    assert captured_columns(warehouse) == []
    build("2026-10-26 00:00:00+00", *late)
    build("2026-10-29 12:00:00+00")
    agree("2026-10-29 12:00:00+00")
    build("2026-10-20 00:00:00+00")
    build("2026-10-21 00:00:00+00", *third[:100])
    agree("2026-10-21 00:00:00+00")
