"""Shows what a history holds and proposes a mapping: `scripts/replay --inspect`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collector.registry import supported_event_types
from collector.settings import ROOT
from scripts.lib.base.cli import UserError, printable
from scripts.lib.replay.batches import Records
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.mapping.times import RFC3339, TimeError, TimeReader
from scripts.lib.replay.mapping.values import as_text, cell
from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import BadRow, FileOptions

ROWS = 1000
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
    batch = Records(history.blocks()).take(ROWS)
    rows = [row for row in batch.rows if isinstance(row, dict)]
    bad = [
        (place, row.message)
        for place, row in zip(batch.places, batch.rows, strict=True)
        if isinstance(row, BadRow)
    ]
    if (
        history.columns
        and len(history.columns) == SNOWPLOW_COLUMNS
        and "event_id" not in history.columns
    ):
        console.print(
            "These are enriched events of Snowplow: --mapping scripts/mappings/snowplow_tsv.yml"
        )
        return 0
    for place, message in bad[:5]:
        console.print(printable(f"{place}: {message}"), markup=False, highlight=False)
    if not rows:
        raise UserError("no row of it can be read")
    columns = history.columns or list(dict.fromkeys(path for row in rows for path in _paths(row)))
    found = {name: [cell(row, name) for row in rows] for name in columns if name}
    table = Table("column", "filled", "different", "type", "examples", box=None, header_style="dim")
    for name, cells in found.items():
        texts = [as_text(each) for each in cells if each is not None]
        examples = ", ".join(dict.fromkeys(text[:30] for text in texts[:50]))[:60]
        table.add_row(
            escape(name),
            f"{len(texts) / len(rows):.0%}",
            f"{len(set(texts)):,}",
            _type(texts),
            escape(examples),
        )
    console.print(f"{len(rows):,} rows looked at, {len(bad):,} malformed", highlight=False)
    console.print(table)
    known = [
        name
        for name, marks in EXPORTS.items()
        if all(any(cell(row, mark) is not None for row in rows) for mark in marks)
    ]
    if known:
        path = (MAPPINGS / f"{known[0]}.yml").relative_to(ROOT)
        console.print(f"This is an export that there is a mapping for: --mapping {path}")
        console.print("docs/moving-in.md says what it carries over.")
        return 0
    console.print("A mapping to begin with; docs/replay.md has its keys:\n")
    console.print(propose(found), markup=False, highlight=False)
    console.print("\nThen: scripts/replay FILE --mapping MAPPING.yml --dry-run")
    return 0


def propose(found: dict[str, list[Any]]) -> str:
    """A mapping for columns with some of their cells, as YAML."""
    texts = {
        name: [as_text(each) for each in cells if each is not None] for name, cells in found.items()
    }
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
    lines = ["event:"]
    if kind := chosen.get("eventType"):
        lines += ["  eventType:", f"    from: {_quoted(kind)}", "    values:"]
        supported = supported_event_types()
        for text in list(dict.fromkeys(texts[kind]))[:50]:
            target = text if text in supported else f"TYPE  # of {len(supported)} supported ones"
            lines.append(f"      {_quoted(text)}: {target}")
    else:
        lines.append("  eventType: {value: TYPE}  # no column looks like a type")
    who = [name for name in ("userId", "anonymousId") if name in chosen]
    lines += [f"  {name}: {_quoted(chosen[name])}" for name in who]
    lines += [] if who else ["  userId: COLUMN  # no column looks like a user"]
    if at := chosen.get("occurredAt"):
        extra = _time(texts[at]) or ""
        lines.append(
            f"  occurredAt: {{from: {_quoted(at)}{extra}}}"
            if extra
            else f"  occurredAt: {_quoted(at)}"
        )
    if key := chosen.get("eventId"):
        lines.append(f"  eventId: {_quoted(key)}")
    rest = [
        name for name in found if name not in chosen.values() and "." not in name and texts[name]
    ]
    lines += ["  activity:"] if rest else []
    for name in rest:
        camel = re.sub(r"[^0-9A-Za-z]+(\w?)", lambda match: match[1].upper(), name.strip("$ "))
        kind = {"number": ", type: number", "boolean": ", type: boolean"}.get(
            _type(texts[name]), ""
        )
        source = f"{{from: {_quoted(name)}{kind}}}" if kind else _quoted(name)
        lines.append(f"    {camel[:1].lower() + camel[1:] or 'attribute'}: {source}")
    return "\n".join(lines)


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


def _time(texts: Sequence[str]) -> str | None:
    """What a mapping says besides `from` of cells that are times; None where they are none."""
    texts = list(texts)[:100]
    if all(RFC3339.fullmatch(text) for text in texts):
        return ""
    if texts and all(re.fullmatch(r"1\d+", text) and len(text) in _EPOCHS for text in texts):
        return f", format: {_EPOCHS[len(texts[0])]}"
    for form, zone in (("iso", None), *((form, "UTC") for form in ("iso", *_FORMATS))):
        reader = TimeReader([form], zone, _NO_SHIFT, lambda _: None)
        try:
            for text in texts:
                reader.read(text)
        except TimeError:
            continue
        written = "" if form == "iso" else f', format: "{form}"'
        return written + (", time_zone: UTC" if zone else "")
    return None


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_$][\w$ ./()-]*[\w$)]|[A-Za-z_]", text)
    words = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
    if plain and text.lower() not in words:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _paths(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict) and value and prefix.count(".") < 2:
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name
