"""Shows what a history holds and proposes a mapping: `scripts/replay --inspect`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from collector.registry import supported_event_types
from collector.settings import ROOT
from scripts.lib.base.cli import UserError, counted, plain, printable
from scripts.lib.replay.batches import Records
from scripts.lib.replay.checking import paths_of
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.mapping.times import RFC3339, TimeError, TimeReader
from scripts.lib.replay.mapping.values import as_text, cell
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import BadRow, FileOptions, HistoryError

ROWS = 1000
EXAMPLE = 30  # characters of a cell that are shown; of a column's cells twice as many
MAPPINGS = ROOT / "scripts" / "mappings"
# An export is known by columns that no other has together.
EXPORTS = {
    "mixpanel": ("event", "properties.distinct_id", "properties.time"),
    "amplitude": ("event_type", "event_properties", "device_id", "uuid"),
    "posthog": ("uuid", "event", "distinct_id", "properties", "timestamp"),
    "ga4_bigquery": ("event_name", "event_timestamp", "event_params", "user_pseudo_id"),
    "snowplow": ("event_id", "collector_tstamp", "domain_userid", "derived_tstamp"),
    "segment_warehouse": ("id", "anonymous_id", "event", "event_text", "timestamp"),
    "rudderstack": ("type", "messageId", "anonymousId"),
    "umami": ("event_id", "website_id", "session_id", "url_path", "created_at"),
    "matomo": ("idlink_va", "idvisitor", "server_time"),
    "xes": ("concept:name", "case:concept:name", "time:timestamp"),
}
SNOWPLOW_COLUMNS = 131
_NAMES = {
    "eventType": r"event_?(name|type)?|activity|action|concept:name|type|status|what",
    "userId": (
        r"(user|customer|client|account|person|case|member|applicant)(_?id)?|who|case:concept:name"
    ),
    "anonymousId": r"(anonymous|device|visitor|session|cookie|distinct)_?id",
    "occurredAt": r".*(time|date|_at|_on|when|timestamp).*|at|ts|day|month",
    "eventId": r"(event|message|insert|row|transaction)?_?(id|uuid|key)",
}
_NO_SHIFT = timedelta()
_EPOCHS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us", 19: "epoch_ns"}
_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M",
    "%d/%m/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%b-%Y", "%b %d, %Y",
    "%Y%m%d",
)  # fmt: skip


def inspect(files: Sequence[Path], mapping: Path | None, console: Console) -> int:
    """Prints the columns with their types and examples, and a mapping to begin with.

    Nothing is sent, and no collector needed. Raises UserError where no row can be read.
    """
    options = load_mapping(mapping).file if mapping else FileOptions()
    history = History(files, options)
    try:
        batch = Records(history.blocks()).take(ROWS)
    except HistoryError:
        if mapping or not _are_enriched(files):
            raise
        return _known("snowplow_tsv", console)
    rows = [row for row in batch.rows if isinstance(row, dict)]
    bad = [
        (place, row.message)
        for place, row in zip(batch.places, batch.rows, strict=True)
        if isinstance(row, BadRow)
    ]
    for place, message in bad[:5]:
        console.print(printable(f"{place}: {message}"), markup=False, highlight=False)
    if not rows:
        raise UserError("no row of it can be read")
    columns = history.columns or list(dict.fromkeys(path for row in rows for path in paths_of(row)))
    found = {name: [cell(row, name) for row in rows] for name in columns if name}
    found = {name: cells for name, cells in found.items() if not any(map(_is_object, cells))}
    table = Table("column", "filled", "different", "type", "examples", box=None, header_style="dim")
    for name, cells in found.items():
        texts = [as_text(each) for each in cells if each is not None]
        table.add_row(
            plain(name),
            f"{len(texts) / len(rows):.0%}",
            f"{len(set(texts)):,}",
            _type(texts),
            plain(_examples(texts)),
        )
    console.print(f"{counted(len(rows), 'row')} looked at, {len(bad):,} malformed", highlight=False)
    console.print(table)
    if len(history.columns or ()) == SNOWPLOW_COLUMNS and "event_id" not in found:
        return _known("snowplow_tsv", console)
    for name, marks in EXPORTS.items():
        if all(any(cell(row, mark) is not None for row in rows) for mark in marks):
            return _known(name, console)
    console.print("A mapping to begin with; docs/replay.md has its keys:\n")
    console.print(propose(found), markup=False, highlight=False)
    console.print("For TYPE put event types of dbt_project/seeds/event_types.csv, or new ones.")
    console.print("Then: scripts/replay FILE --mapping MAPPING.yml --dry-run")
    return 0


def _known(name: str, console: Console) -> int:
    path = (MAPPINGS / f"{name}.yml").relative_to(ROOT)
    console.print(f"This is an export that there is a mapping for: --mapping {path}")
    console.print("docs/moving-in.md says what it carries over.")
    return 0


def _are_enriched(files: Sequence[Path]) -> bool:
    """Whether these are enriched events of Snowplow, which have no header."""
    whole_lines = FileOptions(format="csv", separator="\0", quote="\1", columns=["line"])
    first = Records(History(files, whole_lines).blocks()).take(1).rows
    row = first[0] if first else None
    return isinstance(row, dict) and row["line"].count("\t") == SNOWPLOW_COLUMNS - 1


def propose(found: dict[str, list[Any]]) -> str:
    """A mapping for columns with some of their cells, as YAML."""
    texts = {
        name: [as_text(each) for each in cells if each is not None] for name, cells in found.items()
    }
    chosen = _chosen(found, texts)
    event: dict[str, Any] = {"eventType": {"value": "TYPE"}}
    if kind := chosen.get("eventType"):
        supported = supported_event_types()
        kinds = list(dict.fromkeys(texts[kind]))[:50]
        values = {text: text if text in supported else "TYPE" for text in kinds}
        event = {"eventType": {"from": kind, "values": values}}
    event |= {name: chosen[name] for name in ("userId", "anonymousId") if name in chosen}
    if len(event) == 1:
        event["userId"] = "COLUMN"
    if at := chosen.get("occurredAt"):
        event["occurredAt"] = {"from": at, **(_time(texts[at]) or {})}
    if key := chosen.get("eventId"):
        event["eventId"] = key
    activity = {}
    for name in found:
        if name in chosen.values() or "." in name or not texts[name]:
            continue
        camel = re.sub(r"[^0-9A-Za-z]+(\w?)", lambda match: match[1].upper(), name.strip("$ "))
        kind = _type(texts[name])
        typed = {"type": kind} if kind in ("number", "boolean") else {}
        activity[camel[:1].lower() + camel[1:] or "attribute"] = {"from": name, **typed}
    if activity:
        event["activity"] = activity
    return yaml.safe_dump({"event": event}, sort_keys=False, allow_unicode=True)


def _chosen(found: dict[str, list[Any]], texts: dict[str, list[str]]) -> dict[str, str]:
    """The columns that fields come from, by their names and else by what they hold."""
    chosen: dict[str, str] = {}
    for field in ("occurredAt", "eventId", "anonymousId", "userId", "eventType"):
        for name, cells in found.items():
            bare = name.rpartition(".")[2].lower().strip("$")
            if name in chosen.values() or not texts[name] or not re.fullmatch(_NAMES[field], bare):
                continue
            is_time = _time(texts[name]) is not None
            is_key = len(set(texts[name])) == len(cells)
            if is_time == (field == "occurredAt") and (field != "eventId" or is_key):
                chosen[field] = name
                break
    guesses: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("occurredAt", lambda name: _time(texts[name]) is not None),
        ("userId", lambda name: len(set(texts[name])) > 1),
        ("eventType", lambda name: len(set(texts[name])) <= min(50, 1 + len(texts[name]) // 2)),
    )
    for field, fits in guesses:
        rest = [name for name in found if name not in chosen.values() and texts[name]]
        guess = next((name for name in rest if fits(name)), None)
        if guess and field not in chosen and (field != "userId" or "anonymousId" not in chosen):
            chosen[field] = guess
    return chosen


def _examples(texts: Sequence[str]) -> str:
    """The first different ones, in one line: each whole, or with a mark where it is cut."""
    shortened = (f"{text[: EXAMPLE - 1]}…" if len(text) > EXAMPLE else text for text in texts[:50])
    first, *others = dict.fromkeys(shortened) or [""]
    for text in others:
        if len(first) + len(text) > 2 * EXAMPLE:
            break
        first += f", {text}"
    return first


def _is_object(cell: object) -> bool:
    return isinstance(cell, dict) and bool(cell)  # its members are there as well


def _type(texts: Sequence[str]) -> str:
    if not texts:
        return "empty"
    if _time(texts) is not None:
        return "time"
    for kind, pattern in (
        ("number", r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?"),
        ("boolean", r"(?i)true|false"),
        ("json", r"(?s)[{\[].*"),
    ):
        if all(re.fullmatch(pattern, text) for text in texts):
            return kind
    return "text"


def _time(texts: Sequence[str]) -> dict[str, str] | None:
    """What a mapping says besides `from` of cells that are times; None where they are none."""
    texts = list(texts)[:100]
    if all(RFC3339.fullmatch(text) for text in texts):
        return {}
    if texts and all(re.fullmatch(r"1\d+", text) and len(text) in _EPOCHS for text in texts):
        return {"format": _EPOCHS[len(texts[0])]}
    for form, zone in (("iso", None), *((form, "UTC") for form in ("iso", *_FORMATS))):
        reader = TimeReader([form], zone, _NO_SHIFT, lambda _: None)
        try:
            for text in texts:
                reader.read(text)
        except TimeError:
            continue
        written = {} if form == "iso" else {"format": form}
        return {**written, "time_zone": "UTC"} if zone else written
    return None
