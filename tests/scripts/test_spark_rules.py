"""What the project says in PostgreSQL's words is the same in Spark's, rule by rule."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from scripts.lib.spark.translate import to_spark
from tests.support.macros import render
from tests.support.percentiles import percentiles_of_times
from tests.support.spark import asked, needs_spark

# What stands beside a sign that JSON escapes.
TOLD_BY = ("\\", "\\u001F", "\x1f", '"')


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("payload -> 'a' ->> 'b'",
         "CAST(VARIANT_GET(VARIANT_GET(payload, '$.a', 'variant'), '$.b', 'variant') AS STRING)"),
        ("f(payload -> 'a')", "F(VARIANT_GET(payload, '$.a', 'variant'))"),
        ("a || array[b]", "CONCAT(COALESCE(a, ARRAY()), ARRAY(b))"),
        ("'x' || b", "CONCAT('x', b)"),
        ("(array_agg(a order by b desc) filter (where c))[1]",
         "MAX_BY(a, STRUCT(b)) FILTER(WHERE c)"),
        ("a[b]", "GET(a, (b) - 1)"),
        ("a at time zone 'UTC'", "a"),
        ("a::timestamp at time zone b", "TO_UTC_TIMESTAMP(CAST(a AS TIMESTAMP), b)"),
        ("a at time zone b", "FROM_UTC_TIMESTAMP(a, b)"),
        ("lower(a)", "LOWER(TRANSLATE(a, '\u0130\u03a3', 'i\u03c3'))"),
        ("a ~* 'b'", "a RLIKE '(?i)b'"),
        ("regexp_replace(a, 'b(c)', '\\1', 'gi')", "REGEXP_REPLACE(a, '(?i)b(c)', '$1')"),
    ],
)  # fmt: skip
def test_each_kind_of_expression_has_a_rule(ours: str, theirs: str) -> None:
    words = " ".join(to_spark(f"select {ours} as x from t").split())  # noqa: S608
    assert words.replace("( ", "(").replace(" )", ")") == f"SELECT {theirs} AS x FROM t"  # noqa: S608


@needs_spark
@pytest.mark.slow
def test_percentiles_are_exact(tmp_path: Path) -> None:
    query, expected = percentiles_of_times()
    assert [tuple(row) for row in asked(query, tmp_path)] == expected


@needs_spark
def test_texts_in_lower_case_and_in_keys_are_those_of_postgresql(
    postgres_url: str, tmp_path: Path
) -> None:
    letters = [each for each in map(chr, range(sys.maxunicode)) if each.lower() != each]
    signs = [*map(chr, range(1, 0x21)), '"', "\\", "/", "\x7f", "\x85", "\u2028", "\ufeff"]
    texts = [f"{each} a{each} {each}a" for each in letters]
    texts += [
        f"{before}{sign}{after}"
        for sign in signs
        for before in ("", *TOLD_BY)
        for after in ("", *TOLD_BY)
    ]
    values = ", ".join("('" + each.replace("'", "''") + "')" for each in texts)
    key = render("surrogate_key", ["t.v", "1"])
    query = f"select t.v, lower(t.v), {key} from (values {values}) as t (v)"  # noqa: S608
    with closing(psycopg.connect(postgres_url)) as connection:
        ours = set(connection.execute(query).fetchall())
    theirs = set(asked(query, tmp_path))
    # Letters of a newer Unicode than PostgreSQL's C library has are not told apart there.
    unknown = {row[0] for row in ours if row[0] == row[1] and row[0] in texts[: len(letters)]}
    assert len(unknown) < 100
    assert {row for row in ours ^ theirs if row[0] not in unknown} == set()
