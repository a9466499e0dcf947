"""What a replay says, before it sends and after: shared ids, misspelt columns, odd times."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lib.base.client import Client
from scripts.lib.replay.mapping.checks import MappingError
from tests.support.replaying import TIME, VIEWS, Replayer, table, views


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
