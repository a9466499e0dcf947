"""Mapping files: what they make of a row, and what is said about a wrong one."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.registry import supported_event_types
from collector.settings import ROOT
from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.mapping.document import load_mapping, parse_mapping
from scripts.lib.replay.mapping.values import RowError
from scripts.lib.replay.reading.files import History

DATA = ROOT.parent / "shared" / "data"
MAPPINGS = ROOT / "scripts" / "mappings"
EVENT = "event: {eventType: kind, userId: user}\n"


def mapped(text: str, row: dict[str, Any]) -> dict[str, Any] | None:
    made = parse_mapping(yaml.safe_load(text)).apply(row)
    return made[0] if made else None


def test_columns_become_fields_and_empty_cells_are_left_out() -> None:
    text = "event: {eventType: kind, userId: user, activity: {path: path, referrer: from}}"
    row = {"kind": "page_viewed", "user": "7", "path": "/", "from": ""}
    assert mapped(text, row) == {
        "eventType": "page_viewed",
        "userId": "7",
        "activity": {"path": "/"},
    }


@pytest.mark.parametrize(
    ("source", "cell", "value"),
    [
        ("{from: c, type: number}", "173688", Decimal(173688)),
        ("{from: c, type: number}", "0.10", Decimal("0.10")),
        ("{from: c, type: boolean}", "Yes", True),
        ("{from: c, type: boolean}", "0", False),
        ("{from: c, type: text}", "007", "007"),
        ("{from: c, values: {a*: first, '*': other}}", "abc", "first"),
        ("{from: c, values: {a*: first, '*': other}}", "b", "other"),
        ("'x-{c}-y'", "1", "x-1-y"),
        ("{value: EUR}", "", "EUR"),
    ],
)
def test_sources(source: str, cell: str, value: object) -> None:
    text = f"event: {{eventType: kind, userId: user, activity: {{field: {source}}}}}"
    event = mapped(text, {"kind": "page_viewed", "user": "1", "c": cell})
    assert event is not None
    assert event["activity"] == {"field": value}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.234,50", Decimal("1234.50")),
        ("-12.345.678", -12345678),
        ("12.34.567,5", Decimal("1234567.5")),
        ("735", 735),
        ("1.5", None),  # not fifteen
        ("1.2345", None),
        ("1.234.5", None),
        ("12%", None),
    ],
)
def test_marks_of_thousands_stand_where_they_belong(cell: str, value: object) -> None:
    source = "{from: c, type: number, decimal: ',', thousands: .}"
    text = f"event: {{eventType: kind, userId: user, activity: {{field: {source}}}}}"
    event = mapped(text, {"kind": "page_viewed", "user": "1", "c": cell})
    assert event is not None
    assert event["activity"].get("field") == value


def test_only_restricts_a_field_to_event_types() -> None:
    text = """
        event:
          eventType: kind
          userId: user
          activity: {taskType: {from: name, only: [task_*, other]}}
    """
    task = mapped(text, {"kind": "task_started", "user": "1", "name": "Call"})
    page = mapped(text, {"kind": "page_viewed", "user": "1", "name": "Call"})
    assert task is not None
    assert page is not None
    assert (task["activity"], page["activity"]) == ({"taskType": "Call"}, {})


def test_nested_json() -> None:
    text = "event: {eventType: event, userId: context.user.id, activity: properties}"
    row = {"event": "page_viewed", "context": {"user": {"id": 5}}, "properties": {"path": "/"}}
    assert mapped(text, row) == {
        "eventType": "page_viewed",
        "userId": 5,
        "activity": {"path": "/"},
    }


def test_row_without_a_mapped_type_is_an_error_that_names_it() -> None:
    text = "event: {eventType: {from: kind, values: {a: page_viewed}}, userId: user}\n"
    with pytest.raises(RowError, match=r"event\.eventType\.values has no entry for 'b'"):
        mapped(text, {"kind": "b", "user": "1"})
    assert mapped(text + "unmapped: skip", {"kind": "b", "user": "1"}) is None


def test_cell_of_another_type_costs_the_attribute_and_is_named_without_its_value() -> None:
    text = "user: {email: mail, ficoScore: {from: score, type: number}}"
    rules = parse_mapping(yaml.safe_load(text))
    row = {"mail": "ada@example.com", "score": "secret"}
    assert rules.apply(row) == [{"email": "ada@example.com"}]
    assert rules.notes.take().left_out == {"user.ficoScore is not a number in this row": 1}
    text = "user: {userId: {from: score, type: number}}"
    with pytest.raises(RowError, match=r"^user\.userId is not a number in this row$"):
        mapped(text, row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file: must be a mapping"),
        ("{}", "the file: must be a mapping"),
        ("unmapped: skip", "one of 'event', 'events' and 'user'"),
        ("evnt: {}", "the file: unknown key 'evnt'; known are event, events, user"),
        ("event: {eventType: a}", "event: needs userId or anonymousId"),
        ("event: {userId: a}", "event: needs eventType"),
        ("user: {name: a}", "user: needs email or userId"),
        ("event: {eventType: a, userId: b, event_id: c}", "event: unknown key 'event_id'"),
        ("event: {eventType: a, userId: {column: b}}", "event.userId: unknown key 'column'"),
        ("event: {eventType: a, userId: {type: number}}", "event.userId: needs one of 'from'"),
        ("event: {eventType: a, userId: {from: b, type: int}}", "event.userId.type: must be text"),
        ("event: {eventType: a, userId: {from: 3}}", "event.userId.from: must be"),
        (
            "event: {eventType: a, userId: {from: b, type: number, decimal: ''}}",
            "decimal and thousands are one character each",
        ),
        ("event: {eventType: a, userId: {from: b, only: x}}", "'only' is for fields of"),
        ("event: {eventType: a, userId: b, activity: {x: {from: c, only: 1}}}", "x.only: must be"),
        ("event: {eventType: {from: a, values: {1: b}}, userId: c}", "key 1 must be text"),
        (EVENT + "unmapped: ignore", "unmapped: must be 'error' or 'skip'"),
    ],
)
def test_wrong_mappings_name_the_key(text: str, message: str) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mapping(yaml.safe_load(text))
    assert message in str(raised.value)


def test_unreadable_mapping_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    path.write_text("event: [")
    with pytest.raises(MappingError, match=r"broken\.yml: cannot be read"):
        load_mapping(path)


@pytest.mark.parametrize("name", ["bpi2012.yml", "uci_credit.yml"])
def test_shipped_mappings_name_supported_event_types_only(name: str) -> None:
    document = yaml.safe_load((MAPPINGS / name).read_text())
    types = set(document["event"]["eventType"]["values"].values())
    assert types <= set(supported_event_types())


def test_damaged_gzip_is_said(tmp_path: Path) -> None:
    path = tmp_path / "history.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000)[:-20])
    rules = parse_mapping({"event": {"eventType": {"value": "page_viewed"}, "userId": "a"}})
    history = History([path], rules.file)
    # What stands before the damage is read.
    assert sum(len(block.rows) for _, block in history.blocks()) > 1
    [why] = history.broken
    assert "history.csv.gz" in why


@pytest.mark.parametrize(
    ("source", "cell", "at"),
    [
        ("at", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00+01:00"),
        ("{from: at, time_zone: Europe/Rome}", "2026-07-01 12:00", "2026-07-01T10:00:00Z"),
        ("{from: at, time_zone: Europe/Rome}", "2026-01-31", "2026-01-30T23:00:00Z"),
        ("{from: at, time_zone: Europe/Rome}", "20260131T120000.5", "2026-01-31T11:00:00.500000Z"),
        ("{from: at, time_zone: Europe/Rome}", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("{from: at, time_zone: Europe/Rome}", "2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ("{from: at, format: '%d.%m.%Y', time_zone: UTC}", "31.01.2026", "2026-01-31T00:00:00Z"),
        ("{from: at, format: epoch_s}", "1767261600", "2026-01-01T10:00:00Z"),
        ("{from: at, format: epoch_ms}", "1767261600250", "2026-01-01T10:00:00.250000Z"),
        ("{from: at, format: epoch_us}", 1767261600000001, "2026-01-01T10:00:00.000001Z"),
        ("{from: at, format: epoch_ns}", "1767261600000001000", "2026-01-01T10:00:00.000001Z"),
        # Counted from 1970 in another zone: ten in the morning there.
        (
            "{from: at, format: epoch_s, time_zone: US/Pacific}",
            "1656669600",
            "2022-07-01T17:00:00Z",
        ),
        ("{from: at, shift_days: -36524}", "2126-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("{from: at, format: [epoch_s, iso]}", "2026-01-01T10:00Z", "2026-01-01T10:00:00Z"),
    ],
)
def test_times(source: str, cell: object, at: str) -> None:
    text = f"event: {{eventType: kind, userId: user, occurredAt: {source}}}"
    event = mapped(text, {"kind": "page_viewed", "user": "1", "at": cell})
    assert event is not None
    assert event["occurredAt"] == at


@pytest.mark.parametrize(
    ("source", "cell", "message"),
    [
        ("at", "2026-01-31 12:00", "has no time zone"),
        ("at", "1767261600", "say format: epoch_s"),
        ("at", "31.01.2026", "say how it is with format:"),
        ("{from: at, format: '%d.%m.%Y', time_zone: UTC}", "2026-01-31", "no time of that format"),
        ("at", "", "occurredAt: empty in this row"),
    ],
)
def test_what_is_no_time_says_what_to_write(source: str, cell: str, message: str) -> None:
    text = f"event: {{eventType: kind, userId: user, occurredAt: {source}}}"
    with pytest.raises(RowError, match=message):
        mapped(text, {"kind": "page_viewed", "user": "1", "at": cell})


def test_hours_that_are_twice_or_never_are_counted() -> None:
    text = "event: {eventType: k, userId: k, occurredAt: {from: at, time_zone: Europe/Rome}}"
    rules = parse_mapping(yaml.safe_load(text))
    for at in ("2026-10-25 02:30", "2026-10-25 02:45", "2026-03-29 02:30", "2026-10-25 03:00"):
        rules.apply({"k": "a", "at": at})
    assert sorted(rules.notes.take().times.values()) == [1, 2]


def test_where_may_ask_for_the_file() -> None:
    text = "event: {eventType: k, userId: k, where: {$file: {not: old.csv}}}"
    assert parse_mapping(yaml.safe_load(text)).needs_place
