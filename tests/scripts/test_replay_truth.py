"""What a replay says is what landed: nothing lost, doubled or falsified, and the numbers add up."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client, CollectorError, Receipt
from scripts.lib.keys import create_key
from scripts.lib.replay.batches import Place
from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.preparing import Prepared, comparable
from tests.support.collector import running_collector, wait_until
from tests.support.postgres import EMPTY
from tests.support.replaying import TIME, VIEWS, Replayer, table, views


def test_the_same_rows_count_once_however_they_are_kept(replayer: Replayer) -> None:
    rows = [*views(50), ["u1", "view", TIME, "/1", 1]]  # one row is there twice: two events
    text = table(rows)
    assert replayer("a.csv", text).is_complete
    assert replayer("a.csv.gz", gzip.compress(text.encode())).accepted == 51
    replayer("b.csv", text.replace(",", ";"))
    replayer("turned.csv", table(rows[::-1]))
    replayer("ndjson.jsonl", "\n".join(
        json.dumps(dict(zip(("who", "what", "when", "path", "amount"), row, strict=True)))
        for row in rows
    ))  # fmt: skip
    assert replayer.counted() == {"page_viewed": 51}
    grown = replayer("a.csv", table([*rows, *views(10, 100)]))
    assert (grown.accepted, grown.resumed_after) == (61, 51)
    replayer("newest_first.csv", table([*views(10, 200), *rows]))
    respelt = VIEWS.replace(
        "values: {view: page_viewed, buy: conversion}",
        '"values": {"buy": conversion,\n   "view": "page_viewed"}',
    )
    assert replayer("a.csv", table([*rows, *views(10, 100)]), "# the same\n" + respelt).rows == 61
    assert replayer.counted() == {"page_viewed": 71}


def test_rows_without_a_time_are_their_files(replayer: Replayer) -> None:
    mapping = VIEWS.replace("  occurredAt: when\n", "")
    for name in ("monday.csv", "tuesday.csv", "tuesday.csv.gz"):
        replayer(name, table(views(3)), mapping)
    assert replayer.counted() == {"page_viewed": 6}
    for dataset in ("rome", "milan", "milan"):
        replayer("shop.csv", table(views(3)), VIEWS, dataset=dataset)
    assert replayer.counted() == {"page_viewed": 12}


def test_two_mappings_of_a_file_and_two_events_of_a_row_all_land(replayer: Replayer) -> None:
    text = (
        "loan,asked,paid\n" + "".join(f"{n},{TIME},{TIME}\n" for n in range(20)) + f"20,{TIME},\n"
    )
    asked = "event: {eventType: {value: application_submitted}, userId: loan, occurredAt: asked}"
    paid = "event: {eventType: {value: payment_made}, userId: loan, occurredAt: paid}"
    replayer("wide.csv", text, asked)
    first = replayer("wide.csv", text, paid)
    assert any("were sent by another mapping" in said for said in replayer.said)
    assert (first.accepted, first.rejected) == (20, {"missing": 1})
    both = """
        events:
        - {eventType: {value: application_submitted}, userId: loan, occurredAt: asked}
        - eventType: {value: payment_made}
          userId: loan
          occurredAt: paid
          where: {paid: {empty: false}}
    """
    outcome = replayer("wide.csv", text, both)
    assert (outcome.rows, outcome.mapped, outcome.events, outcome.accepted) == (21, 21, 41, 41)
    assert outcome.is_complete
    assert replayer.counted() == {"application_submitted": 21, "payment_made": 20}


@pytest.mark.parametrize("own_ids", [False, True])
def test_a_mapping_can_be_corrected_and_corrected_back(replayer: Replayer, own_ids: bool) -> None:
    text = table([[n, "buy" if n % 2 else "view", TIME, "/", n] for n in range(10)])
    right = VIEWS + ("  eventId: 'x-{who}'\n" if own_ids else "")
    wrong = right.replace("conversion", "page_viewed")
    for mapping, counts in (
        (wrong, {"page_viewed": 10}),
        (right, {"page_viewed": 5, "conversion": 5}),
        (right, {"page_viewed": 5, "conversion": 5}),
        (wrong, {"page_viewed": 10}),
        (right, {"page_viewed": 5, "conversion": 5}),
    ):
        assert replayer("log.csv", text, mapping, replace=True).is_complete
        assert replayer.counted() == counts
    # So can the file.
    replayer("log.csv", text.replace("buy", "view").replace("\n4,", "\n44,"), right, replace=True)
    assert replayer.counted() == {"page_viewed": 10}


def test_what_was_sent_without_replacing_can_still_replace(replayer: Replayer) -> None:
    def lines(path: str) -> str:
        event = {"eventType": "page_viewed", "userId": "u", "activity": {"path": path}}
        return "".join(json.dumps({"eventId": f"e{n}", **event}) + "\n" for n in range(20))

    first, corrected = lines("/old"), lines("/new")
    for text, replaces in ((first, False), (corrected, False), (corrected, True)):
        assert replayer("log.jsonl", text, "", replace=replaces).is_complete
    assert replayer.said == ["20 events of former runs are taken back."]
    assert replayer.counted() == {"page_viewed": 20}
    assert replayer.collector.query(
        """
        select distinct payload -> 'activity' ->> 'path' from raw.events as events
        where payload ->> 'eventType' = 'page_viewed' and not exists (
            select from raw.events as voids
            where voids.payload -> 'activity' ->> 'eventId' = events.event_id
        )
        """
    ) == [("/new",)]
    assert replayer("log.jsonl", corrected, "", replace=True).is_complete
    assert replayer.said == ["0 events of former runs are taken back."]


def test_a_table_among_several_that_lacks_a_column_is_said_before_anything_is_sent(
    replayer: Replayer,
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.csv", table(views(3)))
        archive.writestr("2.csv", table(views(3), "who,what,wenn,path,amount"))
    with pytest.raises(MappingError, match=r"2\.csv: .*'when' .is it 'wenn'"):
        replayer("days.zip", packed.getvalue())
    assert replayer.counted() == {}


def test_another_key_of_the_source_goes_on_and_one_of_another_source_is_told(
    replayer: Replayer, database: str
) -> None:
    text = table(views(30))
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        keys = [create_key(connection, name, "write") for name in ("shop", "shop", "other")]
        read = create_key(connection, "shop", "read")
    with running_collector(database) as collector:
        replayer.collector = collector
        wait_until(lambda: replayer("log.csv", text, key=keys[0]).accepted == 30)
        assert replayer("log.csv", table(views(35)), key=keys[1]).accepted == 35
        with pytest.raises(UserError, match=r"sent as the source 'shop'.*sends as 'other'"):
            replayer("log.csv", text, key=keys[2])
        for key, message in (("wrong", "401"), (read, "for reading")):
            with pytest.raises(CollectorError, match=message):
                replayer("log.csv", text, key=key)
        assert replayer.counted() == {"page_viewed": 35}


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        (["2026-01-01T10:00:00Z"], ["2026-01-01T10:00:01Z"], True),
        (["2026-01-01T10:00:00Z"], ["2026-01-01T10:00:00Z", "2026-01-01T10:00:01Z"], False),
        (["2026-01-01T10:00:00Z"], ["2026-01-01T10:00:00.000Z"], False),
        (["2026-01-01T10:00:00Z"], ["2026-01-01 10:00:00Z"], False),
        (["2026-01-01T10:00:00+00:00"], ["2026-01-01T11:00:01+01:00"], False),
        (["2026-01-01T10:00:00.1234567Z"], ["2026-01-01T10:00:00.1234568Z"], False),
        (["2026-01-01T10:00:00Z"], ["2026-01-01T10:00:01Z", None], False),
        (["2026-01-01T10:00:00Z"], [], False),
    ],
)
def test_a_batch_overtakes_only_where_no_time_is_shared(
    one: list[str | None], other: list[str | None], may: bool
) -> None:
    first, second = (
        Prepared([], lambda _: Place("", 0), None, Outcome(), comparable(set(times)))
        for times in (one, other)
    )
    assert (first.may_overtake(second), second.may_overtake(first)) == (may, may)


def test_what_overtook_a_batch_that_failed_is_sent_again(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order of time two batches are under way: the first fails, the second is stored."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = views(400)
    for n, row in enumerate(rows):
        row[2] = (start + timedelta(seconds=n)).isoformat().replace("+00:00", "Z")
    send, second_is_stored = Client.send, Event()

    def failing(client: Client, path: str, texts: Sequence[bytes]) -> Receipt:
        if b'"/100"' in texts[0]:
            second_is_stored.wait(30)
            raise CollectorError("no answer")
        receipt = send(client, path, texts)
        if b'"/150"' in texts[0]:
            second_is_stored.set()
        return receipt

    with monkeypatch.context() as patch:
        patch.setattr(Client, "send", failing)
        with pytest.raises(CollectorError):
            replayer("log.csv", table(rows), batch_rows=50)
    assert replayer.collector.query("select count(*) from raw.events") == [(150,)]
    outcome = replayer("log.csv", table(rows), batch_rows=50)
    assert (outcome.resumed_after, outcome.accepted, outcome.is_complete) == (100, 400, True)
    assert replayer.counted() == {"page_viewed": 400}


CELLS = {
    "who": st.sampled_from(["ada", "bob", "", "7"]),
    "what": st.sampled_from(["view", "buy", "swim", ""]),
    "when": st.sampled_from(
        [TIME, "2026-01-01 11:00:00+01:00", "never", "", "2149-01-01T00:00:00Z"]
    ),
    "path": st.sampled_from(["/", 'a,"b"\n c', "", "é"]),
    "amount": st.sampled_from(["1", "2.50", "x", ""]),
}


def expected(row: dict[str, str]) -> str:
    """What must become of a row, by the rules of docs/replay.md: a type, or why there is none."""
    kinds = {"view": "page_viewed", "buy": "conversion"}
    if row["what"] and row["what"] not in kinds:
        return "unmapped"
    if row["when"] == "never":
        return "invalid_time"
    if not (row["what"] and row["who"] and row["when"]):
        return "missing"
    return "implausible_time" if row["when"].startswith("2149") else kinds[row["what"]]


@given(
    rows=st.lists(st.fixed_dictionaries(CELLS), max_size=25),
    kind=st.sampled_from(["csv", "jsonl", "json"]),
    broken=st.lists(st.integers(0, 25), max_size=3, unique=True),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_must_arrive_arrives(
    replayer: Replayer, rows: list[dict[str, str]], kind: str, broken: list[int]
) -> None:
    with closing(psycopg.connect(replayer.collector.database_url, autocommit=True)) as connection:
        connection.execute(EMPTY)
    if kind == "csv":
        texts = [table([[row[name] for name in CELLS]]).split("\n", 1)[1] for row in rows]
        bad, start, end, between = 'u,view,"no end\n', "who,what,when,path,amount\n", "", ""
    else:
        texts = [json.dumps(row) for row in rows]
        bad = "7" if kind == "json" else '{"who": \n'
        start, end, between = ("[", "]", ",") if kind == "json" else ("", "", "\n")
    places = sorted(min(place, len(texts)) for place in broken)
    for place in reversed(places):
        texts.insert(place, bad)
    outcome = replayer(f"log.{kind}", start + between.join(texts) + end, restart=True)
    results = Counter(expected(row) for row in rows)
    sent = {kind: count for kind, count in results.items() if kind in ("page_viewed", "conversion")}
    rejected = {code: count for code, count in results.items() if code not in sent}
    if places:
        rejected["malformed"] = len(places)
    assert outcome.adds_up
    assert (outcome.rejected, outcome.rows) == (rejected, len(rows) + len(places))
    assert replayer.counted() == sent
