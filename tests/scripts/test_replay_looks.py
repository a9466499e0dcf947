"""What is shown before anything is sent: --inspect and --dry-run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from collector.settings import ROOT
from scripts.lib.replay.inspect import propose
from scripts.lib.replay.mapping.document import parse_mapping
from tests.support.collector import Collector

LOG = """Kunde;Vorgang;Zeitpunkt;Betrag
K1;order_placed;31.01.2026 12:00;1.5
K2;payment_made;31.01.2026 13:00;2
K1;payment_made;31.01.2026 14:00;3
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "replay", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HEADWATER_DATA": str(folder / "data"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unseen_file_gets_a_mapping_that_is_one(tmp_path: Path, collector: Collector) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    shown = run(tmp_path, "log.csv", "--inspect")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"Zeitpunkt +100% +3 +time +31\.01\.2026 12:00", shown.stdout)
    proposed = shown.stdout.split("has its keys:\n")[1].split("For TYPE")[0]
    event = yaml.safe_load(proposed)["event"]
    assert event["occurredAt"] == {
        "from": "Zeitpunkt",
        "format": "%d.%m.%Y %H:%M",
        "time_zone": "UTC",
    }
    assert event["userId"] == "Kunde"
    assert event["activity"] == {"betrag": {"from": "Betrag", "type": "number"}}
    assert event["eventType"]["values"]["payment_made"] == "payment_made"
    (tmp_path / "log.yml").write_text(proposed.replace("TYPE", "conversion"))
    command = ("log.csv", "--mapping", "log.yml", "--url", collector.url)
    tried = run(tmp_path, *command, "--dry-run")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    for text in (
        'row 2: {"eventId":',
        "2 payment_made",
        "1 conversion",
        "from 2026-01-31T12:00:00Z to 2026-01-31T14:00:00Z",
        "Nothing was sent. It would be sent as the source 'default'.",
    ):
        assert text in tried.stdout
    assert collector.query("select count(*) from raw.events") == [(0,)]
    assert run(tmp_path, *command).returncode == 0
    assert collector.query("select count(*) from raw.events") == [(3,)]


def test_examples_are_whole_and_in_one_line(tmp_path: Path) -> None:
    times = [f"2026-10-{day} 09:30:00" for day in range(20, 26)]
    rows = [{"at": at, "note": f"line\none of {at}", "long\nname": "x" * 40} for at in times]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shown = run(tmp_path, "log.jsonl", "--inspect")
    assert shown.returncode == 0, shown.stderr
    head, *lines = [line.rstrip() for line in shown.stdout.splitlines()[1:5]]
    assert [re.split(r"  +", line.strip())[-1] for line in (head, *lines)] == [
        "examples",
        ", ".join(times[:3]),
        "line\ufffdone of 2026-10-20 09:30:…, line\ufffdone of 2026-10-21 09:30:…",
        "x" * 29 + "…",
    ]


def test_a_dry_run_says_what_would_be_refused(tmp_path: Path, collector: Collector) -> None:
    (tmp_path / "log.csv").write_text(
        LOG + "K3;payment_made;never;4\n;payment_made;31.01.2026 14:00;5\n"
        "K4;payment_made;31.01.2149 14:00;6\n" + "K5" * 100 + ";payment_made;31.01.2026 14:00;7\n"
    )
    (tmp_path / "log.yml").write_text(
        "event:\n  eventType: Vorgang\n  userId: Kunde\n"
        "  occurredAt: {from: Zeitpunkt, format: '%d.%m.%Y %H:%M', time_zone: UTC}\n"
    )
    tried = run(tmp_path, "log.csv", "--mapping", "log.yml", "--url", collector.url, "--dry-run")
    assert tried.returncode == 1
    for text in (
        r"rejected: invalid_time +1",
        r"rejected: missing +1",
        r"rejected: implausible_time +1",
        r"rejected: unsupported_event_type +1",
        r"refused: invalid_field +1",
        r"row 8: userId must be",
        r"order_placed,product,true,Order placed",
    ):
        assert re.search(text, tried.stdout), text
    assert collector.query("select count(*) from raw.rejected_events") == [(0,)]


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("mixpanel.jsonl", "mixpanel"),
        ("amplitude.json", "amplitude"),
        ("posthog.jsonl", "posthog"),
        ("ga4_bigquery.jsonl", "ga4_bigquery"),
        ("segment_warehouse.csv", "segment_warehouse"),
        ("rudderstack.jsonl", "rudderstack"),
        ("umami.csv", "umami"),
        ("matomo.csv", "matomo"),
        ("xes.xes", "xes"),
    ],
)
def test_exports_are_recognised(
    name: str, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console  # noqa: PLC0415

    from scripts.lib.replay.inspect import inspect  # noqa: PLC0415

    assert inspect([ROOT / "tests" / "scripts" / "exports" / name], None, Console(width=200)) == 0
    assert f"--mapping scripts/mappings/{mapping}.yml" in capsys.readouterr().out


def test_enriched_events_of_snowplow_are_recognised_without_a_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console  # noqa: PLC0415

    from scripts.lib.replay.inspect import inspect  # noqa: PLC0415

    cells = ["page_view" if n in (5, 127) else f"x{n}" for n in range(131)]
    (tmp_path / "part-00000").write_text("\t".join(cells) + "\n")
    assert inspect([tmp_path / "part-00000"], None, Console(width=200)) == 0
    assert "--mapping scripts/mappings/snowplow_tsv.yml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "source"),
    [
        (["1767261600"], {"format": "epoch_s"}),
        (["1767261600000"], {"format": "epoch_ms"}),
        (["2026-01-31 12:00:00+00"], {}),
        (["2026-01-31"], {"time_zone": "UTC"}),
        (
            ["13.01.2026 10:00", "01.02.2026 10:00"],
            {"format": "%d.%m.%Y %H:%M", "time_zone": "UTC"},
        ),
    ],
)
def test_times_are_seen(cells: list[str], source: dict[str, str]) -> None:
    mapping = yaml.safe_load(propose({"who": ["a"] * len(cells), "at": list(cells)}))
    assert mapping["event"]["occurredAt"] == {"from": "at", **source}
    parse_mapping(mapping)
