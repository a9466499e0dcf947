"""The ready mappings: what the exports of other products become, from samples made by hand."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from collector.settings import ROOT
from scripts.lib.replay.checking import check_columns
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import HistoryError

SAMPLES = ROOT / "tests" / "scripts" / "exports"
MAPPINGS = ROOT / "scripts" / "mappings"
# Who, by which id of a visitor, did what when; the third is that of nobody in particular.
TEN, LATER = "2026-01-01T10:00", "2026-01-01T10:01"
Made = tuple[str, Any, Any, str, str]
EXPECTED: dict[str, list[Made]] = {
    "mixpanel": [
        ("page_viewed", None, "dev-1", TEN, "mp-1"),
        ("Plan Chosen", "ada", "dev-1", LATER, "mp-2"),
    ],
    "amplitude": [
        ("page_viewed", None, "dev-1", TEN, "am-1"),
        ("Plan Chosen", "ada", "dev-1", LATER, "u-2"),
    ],
    "posthog": [
        ("page_viewed", None, "dev-1", TEN, "ph-1"),
        ("user_identified", "ada", "dev-1", TEN, "ph-2"),
        ("plan chosen", "ada", "dev-1", LATER, "ph-3"),
        ("invoice paid", "ada", None, "2026-01-01T10:02", "ph-4"),
    ],
    "ga4_bigquery": [
        ("page_viewed", None, "111.222", TEN, ""),
        ("purchase", "ada", "111.222", LATER, ""),
    ],
    "segment_warehouse": [
        ("plan_chosen", None, "dev-1", TEN, "sg-1"),
        ("plan_paid", "ada", "dev-1", LATER, "sg-2"),
    ],
    "segment_pages": [("page_viewed", None, "dev-1", TEN, "sg-4")],
    "segment_identifies": [("user_identified", "ada", "dev-1", TEN, "sg-3")],
    "rudderstack": [
        ("page_viewed", None, "dev-1", TEN, "rs-1"),
        ("user_identified", "ada", "dev-1", TEN, "rs-2"),
        ("Plan Chosen", "ada", "dev-1", LATER, "rs-3"),
    ],
    "snowplow_tsv": [
        ("page_viewed", None, "dev-1", TEN, "sp-1"),
        ("plan_chosen", "ada", "dev-1", LATER, "sp-2"),
    ],
    "snowplow": [
        ("page_viewed", None, "dev-1", TEN, "sp-1"),
        ("plan_chosen", "ada", "dev-1", LATER, "sp-2"),
    ],
    "umami": [
        ("page_viewed", None, "s-1", TEN, "um-1"),
        ("plan-chosen", None, "s-1", LATER, "um-2"),
    ],
    "matomo": [
        ("page_viewed", None, "a1b2c3d4e5f60718", TEN, "matomo-1"),
        ("plan_chosen", "ada", "a1b2c3d4e5f60718", LATER, "matomo-2"),
    ],
    "xes": [
        ("task_started", "T-1", None, TEN, "T-1-0"),
        ("task_completed", "T-1", None, LATER, "T-1-1"),
    ],
}
MAPPED_BY = {"segment_pages": "segment_warehouse"}
ACTIVITIES: dict[str, list[dict[str, str]]] = {
    "mixpanel": [{"$current_url": "https://shop.example/"}, {"plan": "gold", "price": "9.50"}],
    "amplitude": [{"[Amplitude] Page Path": "/"}, {"plan": "gold"}],
    "posthog": [{"$pathname": "/"}, {}, {"plan": "gold"}, {"$lib": "posthog-python"}],
    "ga4_bigquery": [
        {
            "path": "https://shop.example/",
            "sessionId": "1767261600",
            "device": "mobile",
            "utmSource": "news",
            "utmMedium": "None",
            "utmCampaign": "may",
        },
        {"value": "9.5", "currency": "EUR", "transactionId": "T1", "utmSource": "None"},
    ],
    "segment_warehouse": [{"path": "/plans", "utmSource": "news"}, {"path": "/pay"}],
    "segment_pages": [{"path": "/", "name": "Home", "utmSource": "news"}],
    "rudderstack": [{"path": "/", "name": "Home", "utmSource": "news"}, {}, {"plan": "gold"}],
    "snowplow_tsv": [{"path": "/", "utmSource": "news"}, {"label": "gold", "value": "9.5"}],
    "snowplow": [{"path": "/", "utmSource": "news"}, {"label": "gold", "value": "9.5"}],
    "umami": [{"path": "/", "title": "Home"}, {"path": "/plans"}],
    "matomo": [
        {"path": "shop.example/", "referrer": "https://search.example/", "utmCampaign": "None"},
        {"name": "gold", "value": "9.5", "utmCampaign": "spring", "utmTerm": "cheap"},
    ],
    "xes": [{"taskType": "Call & ask", "assignee": "Bob"}, {"taskType": "Call & ask"}],
}


def snowplow_rows() -> tuple[list[str], list[dict[str, str]]]:
    """The columns of enriched events, and two of them."""
    columns = list(load_mapping(MAPPINGS / "snowplow_tsv.yml").file.columns)
    first = {
        "event": "page_view",
        "event_name": "page_view",
        "event_id": "sp-1",
        "domain_userid": "dev-1",
        "collector_tstamp": "2026-01-01 10:00:09.000",
        "derived_tstamp": "2026-01-01 10:00:00.000",
        "page_urlpath": "/",
        "page_title": 'The "best"',
        "mkt_source": "news",
    }
    second = first | {
        "event": "struct",
        "event_name": "event",
        "event_id": "sp-2",
        "user_id": "ada",
        "se_category": "plan",
        "se_action": "chosen",
        "se_label": "gold",
        "se_value": "9.5",
        "derived_tstamp": "2026-01-01 10:01:00.000",
    }
    ping = first | {"event": "page_ping", "event_id": "sp-3"}
    return columns, [first, second, ping]


def sample(name: str, folder: Path) -> Path:
    """The sample of an export, packed as the product packs it."""
    columns, rows = snowplow_rows() if name.startswith("snowplow") else ([], [])
    if name == "snowplow_tsv":
        path = folder / "part-00000"
        path.write_text("".join("\t".join(row.get(c, "") for c in columns) + "\n" for row in rows))
        return path
    if name == "snowplow":
        path = folder / "events.csv"
        lines = [",".join(columns)]
        lines += [",".join(row.get(c, "").replace('"', "") for c in columns) for row in rows]
        path.write_text("\n".join(lines))
        return path
    [path] = SAMPLES.glob(f"{name}.*")
    if name == "amplitude":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            members.writestr("1234/1234_2026-01-01_10#1.json.gz", gzip.compress(path.read_bytes()))
        path = folder / "export.zip"
        path.write_bytes(archive.getvalue())
    return path


def made(name: str, folder: Path) -> list[dict[str, Any]]:
    """What a ready mapping makes of its sample, after the checks that precede a replay."""
    rules = load_mapping(MAPPINGS / f"{MAPPED_BY.get(name, name)}.yml")
    history = History([sample(name, folder)], rules.file)
    read = [row for _, block in history.blocks() for row in block.rows]
    rows = [row for row in read if isinstance(row, dict)]
    assert len(rows) == len(read)
    check_columns(rules, history, rows)
    found = [event for row in rows for event in rules.apply(row) or []]
    assert not rules.notes.left_out
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_ready_mapping(name: str, tmp_path: Path) -> None:
    events = made(name, tmp_path)
    found = []
    for event in events:
        who = (event["eventType"], event.get("userId"), event.get("anonymousId"))
        at = (
            event["occurredAt"][:16].replace("2026-01-01 ", "2026-01-01T").replace("T11:0", "T10:0")
        )
        found.append((*who, at, event.get("eventId", "")))
    assert found == EXPECTED[name]
    for event, activity in zip(events, ACTIVITIES.get(name, [{}]), strict=True):
        assert {key: str(event["activity"].get(key)) for key in activity} == activity


def test_identifies_are_users_too(tmp_path: Path) -> None:
    assert made("segment_users", tmp_path) == [
        {
            "userId": "ada",
            "email": "ada@example.com",
            "name": "Ada",
            "occurredAt": "2026-01-01T10:00:30Z",
        }
    ]


def test_every_ready_mapping_has_a_sample() -> None:
    own = {"bpi2012", "uci_credit", "segment_users"}
    assert {path.stem for path in MAPPINGS.glob("*.yml")} - own == set(EXPECTED) - set(MAPPED_BY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE log [<!ENTITY a "aaaa">]><log>&a;</log>', "has a document type"),
        ("<html></html>", "is XML, but no XES"),
        ("<log><trace><event></trace></log>", "is not XES from here on"),
    ],
)
def test_what_is_no_xes_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "log.xes"
    path.write_text(text)
    with pytest.raises(HistoryError, match=message):
        list(History([path], load_mapping(MAPPINGS / "xes.yml").file).blocks())
