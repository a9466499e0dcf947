"""What a replay says is what landed: nothing lost, doubled or falsified, and the numbers add up."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client, CollectorError, Receipt
from scripts.lib.keys import create_key
from scripts.lib.replay.batches import Place
from scripts.lib.replay.making import Options
from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.preparing import Prepared, comparable
from scripts.lib.replay.run import replay
from tests.support.collector import Collector, running_collector, wait_until
from tests.support.postgres import EMPTY

VIEWS = """
event:
  eventType: {from: what, values: {view: page_viewed, buy: conversion}}
  userId: who
  occurredAt: when
  activity: {path: path, amount: {from: amount, type: number}}
"""
TIME = "2026-01-01T10:00:00Z"


class Replayer:
    """Replays files of one folder to one collector."""

    def __init__(self, collector: Collector, folder: Path) -> None:
        self.collector, self.folder = collector, folder
        self.said: list[str] = []

    def __call__(
        self,
        name: str,
        content: str | bytes,
        mapping: str = VIEWS,
        key: str = "",
        **options: Any,  # noqa: ANN401
    ) -> Outcome:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        rules = self.folder / "mapping.yml"
        rules.write_text(mapping)
        self.said.clear()
        return replay(
            path,
            rules if mapping else None,
            url=self.collector.url,
            data_directory=self.folder / "data",
            key=key,
            options=Options(**options),
            say=self.said.append,
        )

    def counted(self) -> Counter[str]:
        """The event types as the marts count them: each id of a source once, but what is voided."""
        rows = self.collector.query(
            """
            with voids as (
                select source, payload -> 'activity' ->> 'eventId' as event_id from raw.events
                where payload ->> 'eventType' = 'event_voided'
            )
            select distinct on (source, event_id) payload ->> 'eventType' from raw.events
            where not exists (
                select from voids where voids.source = events.source
                    and voids.event_id = events.event_id
            )
            order by source, event_id, event_row_id
            """
        )
        kinds = Counter(kind for (kind,) in rows)
        del kinds["event_voided"]
        return kinds


@pytest.fixture
def replayer(collector: Collector, tmp_path: Path) -> Replayer:
    return Replayer(collector, tmp_path)


def table(rows: list[list[Any]], header: str = "who,what,when,path,amount") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}"


def views(count: int, start: int = 0) -> list[list[Any]]:
    return [[f"u{n}", "view", TIME, f"/{n}", n] for n in range(start, start + count)]


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


def test_an_event_id_that_two_rows_share_is_told(replayer: Replayer) -> None:
    outcome = replayer(
        "log.csv", table([*views(3), *views(1)]), VIEWS + "  eventId: '{what}-{when}'\n"
    )
    assert (outcome.conflicts, outcome.repeated, outcome.is_complete) == (2, 1, False)
    assert "row 3: another event under the eventId" in str(outcome.examples)


@pytest.mark.parametrize(
    ("lines", "mapping", "message"),
    [
        (['{"who": 1, "when": 2, "p": {"path": 3}}'], "userId: whoo", "'whoo' .is it 'who'"),
        (['{"who": 1, "p": {"path": 3}}'], "userId: who, occurredAt: whenn", "'whenn'"),
        (
            ['{"who": 1, "p": {"path": 3}}'],
            "userId: who, activity: {path: p.pathh}",
            "'p.pathh' .is it 'p.path'",
        ),
    ],
)
def test_a_misspelt_path_is_said_before_anything_is_sent(
    replayer: Replayer, lines: list[str], mapping: str, message: str
) -> None:
    text = f"event: {{eventType: {{value: page_viewed}}, {mapping}}}"
    with pytest.raises(MappingError, match=message):
        replayer("log.jsonl", "\n".join(lines * 3), text)
    assert replayer.counted() == {}
    optional = text.replace("userId: whoo", "userId: {from: whoo, optional: true}")
    if optional != text:
        outcome = replayer("log.jsonl", "\n".join(lines), optional)
        assert outcome.rejected == {"missing": 1}


def test_a_column_that_is_there_but_empty_is_told(replayer: Replayer) -> None:
    rows = [[*row[:4], ""] for row in views(3)]
    assert replayer("log.csv", table(rows)).is_complete
    assert replayer.said == ["amount: there, but empty in the first 3 rows."]
    assert replayer("log.csv", table([*rows, *views(1, 3)])).is_complete
    assert replayer.said == []


def test_times_that_cannot_be_are_not_sent(replayer: Replayer) -> None:
    rows = views(4)
    rows[1][2], rows[2][2] = "2149-03-01T00:00:00Z", "1969-12-31T00:00:00Z"
    outcome = replayer("log.csv", table(rows))
    assert (outcome.accepted, outcome.rejected) == (2, {"implausible_time": 2})
    assert "row 3: 2149-03-01T00:00:00Z" in outcome.examples[0]
    shifted = VIEWS.replace("occurredAt: when", "occurredAt: {from: when, shift_days: -45000}")
    outcome = replayer("log.csv", table([rows[1]]), shifted)
    assert outcome.accepted == 1
    assert replayer("log.csv", table(rows), allow_times=True).accepted == 4
    assert replayer.counted() == {"page_viewed": 5}


def test_a_dirty_attribute_costs_itself(replayer: Replayer) -> None:
    rows = [
        [n, "view", TIME, "/", cell]
        for n, cell in enumerate(["NA", "12%", "1,234.5", "1_000", "", "735.0"])
    ]
    outcome = replayer("log.csv", table(rows))
    assert outcome.accepted == 6
    assert outcome.left_out == {"event.activity.amount is not a number in this row": 4}
    clean = VIEWS.replace("type: number", "type: number, thousands: ','") + "null_values: [NA]\n"
    replayer("log.csv", table(rows), clean, replace=True)
    amounts = replayer.collector.query(
        "select payload -> 'activity' ->> 'amount' from raw.events where event_row_id > 6 "
        "and payload ->> 'eventType' = 'page_viewed' order by payload ->> 'userId'"
    )
    assert [amount for (amount,) in amounts] == [None, None, "1234.5", None, None, "735"]


def test_json_is_written_as_json(replayer: Replayer) -> None:
    row = {
        "big": 12345678901234567890123,
        "id": 12345678901.0,
        "ok": True,
        "n": 1e10,
        "o": {"x": 1},
        "l": "[A] b?",
        "d": 1.50,
    }
    mapping = """
        event:
          eventType: {from: ok, values: {"true": page_viewed}}
          userId: id
          activity:
            text: "{id}-{ok}-{n}"
            object: "{o}"
            label: {from: l, values: {"?": wrong, "[A] b*": right}}
            nested: o.x
            big: big
            long: {from: "{big}0", type: number}
            id: {from: id, type: text}
    """
    text = json.dumps(row).replace("1.5", "1.50")
    for name, content in (("log.jsonl", text), ("log.json", f"[{text}]")):
        assert replayer(name, content, mapping).is_complete
    [(activity,)] = replayer.collector.query(
        "select distinct payload -> 'activity' from raw.events"
    )
    assert activity == {
        "text": "12345678901-true-10000000000",
        "object": '{"x":1}',
        "label": "right",
        "nested": 1,
        "big": 12345678901234567890123,
        "long": 123456789012345678901230,
        "id": "12345678901",
    }


def test_new_event_types_are_said_first(replayer: Replayer) -> None:
    text = table([*views(3), ["u", "swim", TIME, "/", 1], ["u", "view", TIME, "/x", 1]])
    passing = VIEWS.replace("conversion}", "conversion}, others: keep")
    with pytest.raises(MappingError, match=r"event_types\.csv:\n  swim,product,true,Swim\n"):
        replayer("log.csv", text, passing)
    assert replayer.counted() == {}
    late = table([*views(1500), ["u", "swim", TIME, "/", 1], ["u", "view", TIME, "/x", 1]])
    outcome = replayer("log.csv", late, passing)
    assert (outcome.accepted, outcome.unsupported, outcome.is_complete) == (
        1501,
        {"swim": 1},
        False,
    )
    assert replayer.collector.query("select count(*) from raw.rejected_events") == [(0,)]
    left = replayer("log.csv", late, passing, restart=True, skip_unsupported=True)
    assert (left.skipped, left.is_complete) == (1, True)


def test_what_is_supported_by_now_is_sent_alone(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = table([*views(1500), ["u", "buy", TIME, "/", 1], ["u", "view", TIME, "/x", 1]])
    limits = vars(Client)["limits"].func
    with monkeypatch.context() as patch:  # as of a collector whose seed has not the type yet
        old = property(
            lambda client: replace(limits(client), event_types=frozenset({"page_viewed"}))
        )
        patch.setattr(Client, "limits", old)
        passing = VIEWS.replace(
            "{view: page_viewed, buy: conversion}", "{view: page_viewed}, others: keep"
        )
        outcome = replayer("log.csv", late.replace("buy", "conversion"), passing)
    assert (outcome.accepted, outcome.unsupported) == (1501, {"conversion": 1})
    outcome = replayer("log.csv", late.replace("buy", "conversion"), passing)
    assert (outcome.accepted, outcome.already, outcome.is_complete) == (1, 1501, True)
    assert replayer.collector.query("select count(*) from raw.events") == [(1502,)]


def test_nothing_accepted_is_no_success(replayer: Replayer) -> None:
    for name, content in (
        ("header.csv", "who,what,when,path,amount\n"),
        ("empty.jsonl", ""),
        ("all.csv", table([["u", "x", TIME, "/", 1]])),
    ):
        assert not replayer(name, content, VIEWS + "unmapped: skip\n").is_complete


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_broken_state_is_put_aside(replayer: Replayer, tmp_path: Path, content: bytes) -> None:
    replayer("log.csv", table(views(5)))
    for path in (tmp_path / "data" / "replays").glob("*"):
        path.write_bytes(content) if path.suffix == ".sqlite3" else path.unlink()
    assert replayer("log.csv", table(views(5))).accepted == 5
    assert replayer.counted() == {"page_viewed": 5}


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
