"""scripts/replay against a running collector: everything lands once, whatever goes wrong."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from collector.settings import ROOT
from scripts.lib.base.client import CollectorError
from scripts.lib.replay.mapping.checks import MappingError
from scripts.lib.replay.run import replay
from tests.support.collector import Collector, running_collector, wait_until

EVENTS = 20_000
CSV_MAPPING = """
event:
  eventType: {from: what, values: {view: page_viewed, call: task_started}}
  userId: {from: who, type: number}
  occurredAt: when
  activity:
    path: {from: where, only: page_viewed}
"""


def write_events(path: Path, count: int) -> None:
    lines = (
        json.dumps({"eventType": "page_viewed", "userId": n, "activity": {"path": f"/{n}"}})
        for n in range(count)
    )
    path.write_text("\n".join(lines) + "\n")


def run(
    collector: Collector, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "replay", *arguments, "--url", collector.url],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HEADWATER_DATA": str(folder / "data"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def landed(collector: Collector) -> tuple[int, int]:
    """Rows of raw.events, and different eventIds among them."""
    rows = collector.query("select count(*), count(distinct event_id) from raw.events")
    return int(rows[0][0]), int(rows[0][1])


def test_killed_replay_continues_and_loses_nothing(collector: Collector, tmp_path: Path) -> None:
    write_events(tmp_path / "history.ndjson", EVENTS)
    command = [str(ROOT / "scripts" / "replay"), "history.ndjson", "--batch", "50"]
    command += ["--url", collector.url]
    environment = {"PATH": os.environ["PATH"], "HEADWATER_DATA": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        wait_until(lambda: landed(collector)[0] >= 500)
        process.kill()
    assert 500 <= landed(collector)[0] < EVENTS

    again = run(collector, tmp_path, "history.ndjson", "--batch", "50")
    assert again.returncode == 0, again.stderr
    assert "Continued after row" in again.stdout
    assert "20,000" in again.stdout
    rows, different = landed(collector)
    assert different == EVENTS
    assert rows <= EVENTS + 50

    third = run(collector, tmp_path, "history.ndjson", "--batch", "50")
    assert third.returncode == 0
    assert "nothing sent now" in third.stdout
    assert landed(collector)[0] == rows

    fourth = run(collector, tmp_path, "history.ndjson", "--restart")
    assert fourth.returncode == 0
    assert landed(collector) == (rows + EVENTS, EVENTS)


def test_bad_rows_are_told_and_the_others_land(collector: Collector, tmp_path: Path) -> None:
    good = '{"eventType": "page_viewed", "userId": 1, "activity": {"path": "/"}}'
    lines = [good, '{"eventType": ', "[1]", good.replace("1", "1.5"), good]
    (tmp_path / "history.jsonl").write_text("\n".join(lines))
    result = run(collector, tmp_path, "history.jsonl")
    assert result.returncode == 1
    assert "row 2: not JSON" in result.stdout
    assert "row 3: not a JSON object" in result.stdout
    assert "row 4: userId must be" in result.stdout
    assert landed(collector) == (2, 2)


def test_csv_by_a_mapping(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(CSV_MAPPING)
    rows = [
        b"who,what,when,where",
        b"1,view,2026-01-01T10:00:00Z,/caf\xc3\xa9",
        b"2,call,2026-01-01T11:00:00+01:00,",
        b"3,view,2026-01-01T12:00:00Z,/caf\xe9",
        b"4,view",
        b"five,view,2026-01-01T12:00:00Z,/",
        b"6,jump,2026-01-01T12:00:00Z,/",
    ]
    (tmp_path / "history.csv.gz").write_bytes(gzip.compress(b"\n".join(rows)))
    outcome = replay(
        tmp_path / "history.csv.gz",
        tmp_path / "mapping.yml",
        url=collector.url,
        data_directory=tmp_path,
    )
    assert outcome.rejected == {"malformed": 2, "unmapped": 1, "wrong_type": 1}
    assert outcome.adds_up
    assert [text.partition(";")[0] for text in outcome.examples] == [
        "history.csv, row 4: is not UTF-8",
        "history.csv, row 5: has 2 cells where the header has 4",
        "history.csv, row 6: event.userId is not a number in this row",
        "history.csv, row 7: event.eventType.values has no entry for 'jump'",
    ]
    payloads = collector.query("select payload - 'eventId' from raw.events order by event_row_id")
    assert payloads == [
        (
            {
                "eventType": "page_viewed",
                "userId": 1,
                "occurredAt": "2026-01-01T10:00:00Z",
                "activity": {"path": "/café"},
            },
        ),
        (
            {
                "eventType": "task_started",
                "userId": 2,
                "occurredAt": "2026-01-01T11:00:00+01:00",
                "activity": {},
            },
        ),
    ]


def test_users_by_a_mapping(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(
        "user: {email: mail, name: name, ficoScore: {from: score, type: number}}"
    )
    (tmp_path / "users.csv").write_text(
        "mail,name,score\nada@example.com,Ada,700\nbob@example.com,Bob,9000\n"
        "ada@example.com,Ada,720\n"
    )
    result = run(collector, tmp_path, "users.csv", "--mapping", "mapping.yml")
    assert result.returncode == 1
    assert "users made of the others" in result.stdout
    assert "row 3: " in result.stdout
    assert "ficoScore" in result.stdout
    users = httpx.get(f"{collector.url}/users").json()
    assert [(user["email"], user["ficoScore"]) for user in users] == [("ada@example.com", 720)]


def test_file_larger_than_a_request(collector: Collector, tmp_path: Path) -> None:
    event = {"eventType": "page_viewed", "userId": 1, "activity": {"path": "x" * 500_000}}
    (tmp_path / "history.ndjson").write_text("\n".join([json.dumps(event)] * 12))
    outcome = replay(tmp_path / "history.ndjson", url=collector.url, data_directory=tmp_path)
    assert (outcome.accepted, outcome.rejected) == (12, {})
    assert landed(collector) == (12, 12)


def test_wrong_column_is_said_before_anything_is_sent(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(CSV_MAPPING)
    (tmp_path / "history.csv").write_text("who,what,where\n1,view,/\n")
    with pytest.raises(MappingError, match=r"column 'when'.*has who, what, where"):
        replay(
            tmp_path / "history.csv",
            tmp_path / "mapping.yml",
            url=collector.url,
            data_directory=tmp_path,
        )
    assert landed(collector) == (0, 0)


def test_csv_without_a_mapping_says_what_to_do(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("a\n1\n")
    result = run(collector, tmp_path, "history.csv")
    assert result.returncode == 1
    assert "needs --mapping" in result.stderr
    assert "Traceback" not in result.stderr


def test_packing_is_seen_whatever_the_name_says(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "mapping.yml").write_text(CSV_MAPPING)
    plain = b"who,what,when,where\n1,view,2026-01-01T10:00:00Z,/\n"
    (tmp_path / "history.csv.gz").write_bytes(plain)
    (tmp_path / "packed.csv").write_bytes(gzip.compress(plain))
    for name in ("history.csv.gz", "packed.csv"):
        result = run(collector, tmp_path, name, "--mapping", "mapping.yml")
        assert result.returncode == 0, result.stderr
    assert landed(collector) == (2, 1)


def test_no_collector_is_said_at_once(tmp_path: Path) -> None:
    write_events(tmp_path / "history.ndjson", 1)
    with pytest.raises(CollectorError, match="Start it with scripts/serve"):
        replay(tmp_path / "history.ndjson", url="http://127.0.0.1:1", data_directory=tmp_path)


def test_something_else_than_a_collector_is_said(collector: Collector, tmp_path: Path) -> None:
    write_events(tmp_path / "history.ndjson", 1)
    with pytest.raises(CollectorError, match="answered 404"):
        replay(
            tmp_path / "history.ndjson",
            url=f"{collector.url}/elsewhere",
            data_directory=tmp_path,
        )


def test_replay_sends_the_key_of_the_settings(database: str, tmp_path: Path) -> None:
    write_events(tmp_path / "history.ndjson", 3)
    made = subprocess.run(
        [ROOT / "scripts" / "keys", "create", "backfill", "--scope", "write"],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=True,
    )
    with running_collector(database) as collector:
        refused = run(collector, tmp_path, "history.ndjson")
        assert refused.returncode == 1
        assert "401" in refused.stderr
        key = max(made.stdout.split(), key=len)
        sent = run(collector, tmp_path, "history.ndjson", API_KEY=key)
        assert sent.returncode == 0, sent.stderr
        assert collector.query("select distinct source from raw.events") == [("backfill",)]


def test_limits_are_the_collectors(database: str, tmp_path: Path) -> None:
    write_events(tmp_path / "history.ndjson", 40)
    users = [json.dumps({"email": f"u{n}@example.com"}) for n in range(20)]
    (tmp_path / "users.ndjson").write_text("\n".join(users))
    with running_collector(database, MAX_EVENTS="7", MAX_BODY_BYTES="300") as collector:
        for arguments in (("history.ndjson",), ("users.ndjson", "--users")):
            result = run(collector, tmp_path, *arguments)
            assert result.returncode == 0, result.stdout + result.stderr
        assert landed(collector) == (40, 40)
        assert collector.query("select count(*) from raw.users") == [(20,)]


def test_several_files_globs_folders_and_standard_input(
    collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "mapping.yml").write_text(CSV_MAPPING)
    header, row = "who,what,when,where\n", "{},view,2026-01-01T10:00:00Z,/\n"
    (tmp_path / "days").mkdir()
    for n in range(3):
        text = header + row.format(n) + ("four,view\n" if n == 1 else "")
        (tmp_path / "days" / f"{n}.csv").write_text(text)
    for argument in ("days/*.csv", "days"):
        result = run(collector, tmp_path, argument, "--mapping", "mapping.yml")
        assert result.returncode == 1
        assert "1.csv, row 3: has 2 cells" in result.stdout
    assert landed(collector)[1] == 3
    piped = subprocess.run(
        [ROOT / "scripts" / "replay", "-", "--mapping", "mapping.yml", "--url", collector.url],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HEADWATER_DATA": str(tmp_path / "data")},
        input=header + row.format(2) + row.format(3),
        capture_output=True,
        text=True,
        check=False,
    )
    assert piped.returncode == 0, piped.stderr
    assert landed(collector)[1] == 4
    (tmp_path / "bare").mkdir()
    os.mkfifo(tmp_path / "pipe")
    not_file = "is a pipe or a device, and a file is read more than once: give it to the standard"
    for name, reason in {
        "nowhere*.csv": "there is no file nowhere*.csv",
        "bare": "there is no file in bare",
        "/dev/null": f"/dev/null {not_file} input, which is the file -",
        "pipe": f"pipe {not_file} input, which is the file -",
    }.items():
        missing = run(collector, tmp_path, name, "--mapping", "mapping.yml")
        assert (missing.returncode, missing.stderr) == (1, f"error: {reason}\n")


def test_a_killed_replay_by_a_mapping_continues_exactly(
    collector: Collector, tmp_path: Path
) -> None:
    """Ids are made of what rows say: none is lost and none is made twice, equal rows among them."""
    (tmp_path / "mapping.yml").write_text(CSV_MAPPING)
    rows = [f"{n % 50},view,2026-01-01T10:00:00Z,/{n % 700}\n" for n in range(6_000)]
    (tmp_path / "history.csv").write_text("who,what,when,where\n" + "".join(rows))
    command = [str(ROOT / "scripts" / "replay"), "history.csv", "--mapping", "mapping.yml"]
    command += ["--url", collector.url, "--batch", "40"]
    environment = {"PATH": os.environ["PATH"], "HEADWATER_DATA": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        wait_until(lambda: landed(collector)[0] >= 400)
        process.kill()
    again = run(collector, tmp_path, *command[1:])
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Continued after row" in again.stdout
    rows_landed, different = landed(collector)
    assert different == 6_000
    assert rows_landed <= 6_040
