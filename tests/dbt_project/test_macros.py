"""Rules of macros as properties, tried on values that hypothesis makes up."""

from __future__ import annotations

import json
import random
import subprocess
from contextlib import closing
from decimal import Decimal
from itertools import product
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.contract import MAX_SCORE, MIN_SCORE
from tests.support.collector import rows_of
from tests.support.macros import render
from tests.support.node import node_is_missing
from tests.support.percentiles import percentiles_of_times

pytestmark = pytest.mark.every_postgres

Value = TypeVar("Value")
# The host as a browser reads it, then without what two names of one site differ in.
BROWSER = """
const urls = JSON.parse(require("fs").readFileSync(0, "utf8"));
const host = (text) => {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (!["http:", "https:", "android-app:", "ios-app:"].includes(url.protocol)) return null;
  const name = url.hostname.toLowerCase().replace(/[.]+$/, "").replace(/^www[.](?=[^.]+[.])/, "");
  return name || null;
};
console.log(JSON.stringify(urls.map(host)));
"""


def made_up(strategy: st.SearchStrategy[Value], count: int) -> list[Value]:
    """So many values of a strategy, always the same: they go to PostgreSQL together."""
    found: list[Value] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Value) -> None:
        found.append(value)

    collect()
    return found


def computed(postgres_url: str, expression: str, values: list[str], cast: str) -> list[Any]:
    """The results of an expression on `value`, one for each of the texts, cast so before."""
    query = f"""
        select {expression.replace("%", "%%")}
        from unnest(%s::text[]) with ordinality as texts (text, position)
        cross join lateral (select text::{cast} as value) as typed
        order by position
    """  # noqa: S608
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("set statement_timeout = '60s'")  # against what takes for ever
        return [row[0] for row in connection.execute(query.encode(), (values,))]


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number in one of the ways JSON has to write it."""
    digits = draw(st.sampled_from(["0", "1", "5", "10", "100", "25", "123456789012345678"]))
    shift = draw(st.sampled_from([0, 0, 0, 1, 2, 7, 30, 299]))
    sign = draw(st.sampled_from(["", "-"]))
    zeros = "0" * draw(st.integers(0, 2))
    form = draw(
        st.sampled_from(
            [
                f"{int(digits) * 10**shift}",
                f"{int(digits) * 10**shift}.0{zeros}",
                f"{digits}e{shift}",
                f"{digits}.{zeros}0E+{shift}",
                f"0.{'0' * shift}{digits}",
                f"{digits}e-{shift + len(digits)}",
            ]
        )
    )
    return sign + form


def test_numbers_are_compared_as_numbers(postgres_url: str) -> None:
    texts = sorted({*made_up(numbers(), 300), "1", "1.0", "1e0", "5.0", "1e400", "-1e-400"})
    found = computed(postgres_url, render("canonical_value", "value"), texts, "jsonb")
    canonical = dict(zip(texts, found, strict=True))
    assert canonical["1"] == canonical["1.0"] == canonical["1e0"] == "1"
    assert (canonical["5.0"], canonical["1e400"], canonical["-1e-400"]) == ("5", None, None)
    for one, other in product(canonical, repeat=2):
        if canonical[one] is None:
            continue
        if Decimal(one) == Decimal(other):
            assert canonical[one] == canonical[other], (one, other)
        elif float(one) != float(other):
            assert canonical[one] != canonical[other], (one, other)
    # A seed names a number in any form too.
    named = render("is_value", "value", "'5.00'")
    values = ["5", "5.0", "5e0", '"5.00"', '"5"', "true", "null", "{}", "[5]", '""']
    assert computed(postgres_url, f"coalesce({named}, false)", values, "jsonb") == [
        True, True, True, True, False, False, False, False, False, False,
    ]  # fmt: skip


def test_values_that_are_none_and_texts_that_are_no_numbers(postgres_url: str) -> None:
    values = ['"1.0"', '"007"', '""', "null", "{}", "[1]", "true", '" "', json.dumps("x" * 300)]
    assert computed(postgres_url, render("canonical_value", "value"), values, "jsonb") == [
        "1.0", "007", None, None, None, None, "true", " ", "x" * 256,
    ]  # fmt: skip


@pytest.mark.parametrize("macro", ["url_host", "without_logins"])
def test_no_text_takes_for_ever(postgres_url: str, macro: str) -> None:
    """Long texts with many beginnings of what the patterns look for, which all fail late."""
    parts = ["https:", "a", "ab://", "https:_/", "https:a_", "a+", "h:@", "https:u@h/", "a@", " "]
    ends = ["/@", "@x", "/https:u@h", "://https:/@", "/"]
    texts = [
        start + part * (300_000 // len(part)) + end
        for start in ("", "https:")
        for part in parts
        for end in ends
    ]
    cast = "text" if macro == "url_host" else "jsonb"
    values = texts if cast == "text" else [json.dumps(text) for text in texts]
    computed(postgres_url, f"length(({render(macro, 'value')})::text)", values, cast)


# The last label is no number, which would make it an IPv4 address in one of its many forms.
labels = st.text(st.sampled_from("aZ09-_~!$&'()*+,;=\"`{} <^|\t@"), min_size=0, max_size=5)
hosts = st.one_of(
    st.builds(".".join, st.lists(labels, max_size=3)).map(lambda host: f"{host}.shop"),
    st.sampled_from(
        [
            *("shop", "Shop.Example", "www.shop.example", "WWW.SHOP.EXAMPLE.", "www.shop", "a.b.."),
            *("[2001:DB8::1]", "[::1]", "[zz]", "[2001:db8::1", "", ".", "com.google.android.gm"),
        ]
    ),
)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """A text that may be a URL."""
    scheme = draw(
        st.sampled_from(
            ["http", "https", "HTTPS", "android-app", "ios-app", "ftp", "mailto", "about", "", "x"]
        )
    )
    slashes = draw(st.sampled_from(["://", "://", "://", ":", ":/", ":///", ":\\\\", "//", ""]))
    if scheme.endswith("-app"):
        slashes = "://"  # with others it is no host, but a path
    login = draw(st.sampled_from(["", "", "user@", "user:pw@", "a@b:c@", "@", ":@", "u%40x@"]))
    port = draw(st.sampled_from(["", "", ":", ":80", ":443", ":8443", ":x", ":1:2"]))
    rest = draw(st.sampled_from(["", "/", "/a@b", "?q=a@b", "#a@b", "\\a@b", "/a b", "/\n"]))
    if scheme.endswith("-app"):
        rest = rest.replace("\\", "/")  # a slash in what browsers know only
    start, end = draw(st.tuples(*[st.sampled_from(["", " ", "\t\n ", "\x01"])] * 2))
    return f"{start}{scheme}{slashes}{login}{draw(hosts)}{port}{rest}{end}"


@pytest.mark.skipif(bool(node_is_missing(20)), reason=node_is_missing(20))
def test_hosts_are_what_browsers_read(postgres_url: str) -> None:
    texts = made_up(urls(), 3000)
    browser = subprocess.run(
        ["node", "-e", BROWSER],
        input=json.dumps(texts),
        check=True,
        capture_output=True,
        text=True,
    )
    expected = json.loads(browser.stdout)
    found = computed(postgres_url, render("url_host", "value"), texts, "text")
    # A browser reads the whole number 1 as the address 0.0.0.1.
    differing = [
        row
        for row in zip(texts, expected, found, strict=True)
        if row[1] != row[2] and not str(row[2]).isdigit()
    ]
    assert differing == []
    assert len({host for host in expected if host}) > 100


def test_logins_of_urls_are_taken_out(postgres_url: str) -> None:
    """Of any text of a JSON value, which stays one, and is otherwise as it was."""
    login = "Secret1:pa55word@"
    slashes = ["://", ":", "://", ":\\\\", ":///"]
    texts = st.one_of(
        st.builds(
            "{}{}{}{}{}".format,
            st.sampled_from(["http", "HTTPS", "see https", "ftp"]),
            st.sampled_from(slashes),
            st.just(login),
            st.sampled_from(["shop.example", "x@shop.example", ""]),
            st.sampled_from(["", "/a@b", "?q=a@b", '"', "\n"]),
        ),
        st.just(f"app+x://{login}host"),
        st.text(st.sampled_from('h@:/\\"\n {}[]'), max_size=12).map("https:{}".format),
        st.sampled_from(
            ["ann@shop.example", "Write: ann@shop.example", "http://shop.example/@ann"]
        ),
    )
    values = st.recursive(
        texts | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    )
    sent = [{"referrer": value} for value in made_up(values, 1000)]
    encoded = [json.dumps(value) for value in sent]
    found = computed(postgres_url, render("without_logins", "value"), encoded, "jsonb")
    assert [value for value in found if "Secret1" in json.dumps(value)] == []
    untouched = [one for one, other in zip(sent, found, strict=True) if one == other]
    assert {"referrer": "Write: ann@shop.example"} in untouched
    assert {"referrer": "http://shop.example/@ann"} in untouched
    assert len(untouched) < len(sent)


def test_a_score_is_what_the_collector_takes_for_one() -> None:
    assert render("is_score", "score") == f"score between {MIN_SCORE} and {MAX_SCORE}"


def has_luhn_sum(digits: str) -> bool:
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def test_values_look_personal_where_they_have_the_form_of_it(postgres_url: str) -> None:
    expected: dict[str, str | None] = {
        "ann@example.com": "email",
        "/welcome?to=Ann.B%2Bx%40mail.example.co.uk&x=1": "email",
        "call +49 151 23456789": "phone",
        "(212) 555-0123": "phone",
        "212-555-0123": "phone",
        "4111-1111-1111-1111": "card",
        "paid with 378282246310005.": "card",
        "0191d2c4 paid with 378282246310005, 4111": "card",
        **dict.fromkeys(
            (
                "", "/pricing", "@", "ann@", "a@b", "2026-10-01 12:00:00+00", "10.0.0.1",
                "0191d2c4-7b1e-7c3a-9a4e-123456789012", "1730419200000", "2125550123", "+1",
                "4111 1111 1111 1112", "x@y", "user_8812",
            )
        ),
    }  # fmt: skip
    rng = random.Random(4)
    for _ in range(3000):  # a card's digits with more hexadecimal ones beside them
        digits = str(rng.randint(3, 6)) + "".join(rng.choices("0123456789", k=15))
        before, after = rng.choice([("", "a"), ("B", ""), ("0c", ""), ("f", "e7")])
        expected[f"visitor-{before}{digits}{after}"] = None
    for _ in range(300):
        digits = str(rng.randint(3, 6)) + "".join(rng.choices("0123456789", k=rng.randint(12, 18)))
        expected[digits] = "card" if has_luhn_sum(digits) else None
    found = computed(postgres_url, render("likely_personal_value", "value"), [*expected], "text")
    assert dict(zip(expected, found, strict=True)) == expected


def test_percentiles_are_exact(postgres_url: str) -> None:
    query, expected = percentiles_of_times()
    assert rows_of(postgres_url, query) == expected
