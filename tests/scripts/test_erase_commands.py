"""`scripts/erase` and `export-user` as commands: refused in a line, killed, resumed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from collector.settings import ROOT
from tests.support.collector import wait_until
from tests.support.lake import export, rows_in
from tests.support.planting import EMAIL, PLANTED, PLANTED_TOO, event, plant
from tests.support.postgres import programs
from tests.support.warehouse import Warehouse, event_ids

# What dbt sends begins with a comment that names it (its setting `query-comment`).
STATEMENTS_OF_DBT = """
    select from pg_stat_activity
    where datname = current_database() and query like '/* {"app": "dbt"%'
"""


def script(
    warehouse: Warehouse, name: str, *arguments: str, process_group: int | None = None
) -> subprocess.Popen[str]:
    folder = warehouse.project.parent
    return subprocess.Popen(
        [ROOT / "scripts" / name, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": warehouse.database_url,
            "HEADWATER_DATA": str(folder),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=process_group,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate()
    return process.returncode, output


@pytest.mark.parametrize(
    ("name", "arguments", "status", "said"),
    [
        ("erase", (), 1, "error: say who: --user, --email, --anonymous-id or --file; see --help"),
        ("erase", ("--user", "undefined"), 2, "this id means nobody"),
        ("erase", ("--email", "jane"), 2, "this is no email"),
        ("erase", ("--resume", "--user", "1"), 2, "--resume goes without names"),
        ("erase", ("--file", "/nowhere"), 1, "error: --file /nowhere cannot be read"),
        ("export-user", (), 1, "error: say who"),
        ("opt-out", ("--undo",), 2, "say who: --user"),
        ("opt-out", ("--user", "1", "--since", "today"), 2, "a time is RFC 3339"),
    ],
)
def test_bad_arguments_are_said_in_a_line(
    tmp_path: Path, name: str, arguments: tuple[str, ...], status: int, said: str
) -> None:
    nowhere = Warehouse("postgresql://nobody@127.0.0.1:1/none", tmp_path / "dbt_project")
    code, output = finished(script(nowhere, name, *arguments))
    assert (code, said in output, len(output.splitlines())) == (status, True, 1), output


def test_people_opt_out_and_in_again_and_are_counted_apart(warehouse: Warehouse) -> None:
    def built(*events: str) -> list[str]:
        for event_id in events:
            [_, day, who] = event_id.split()
            ids = {"anonymousId": "phone"} if who == "phone" else {"userId": who}
            sent = event(event_id, "page_viewed", None, path="/") | ids
            warehouse.land(sent, received_at=f"2026-10-0{day} 12:00:00+00")
        warehouse.run("--select", "+dim_users", "+rejection_rates_daily")
        return event_ids(warehouse)

    def told(*arguments: str) -> str:
        code, output = finished(script(warehouse, "opt-out", *arguments))
        assert code == 0, output
        return output

    warehouse.execute("insert into raw.user_ids (user_id, email) values ('ann', %s)", EMAIL)
    warehouse.land(event("tie", "page_viewed", "ann", path="/") | {"anonymousId": "phone"})
    assert built("a 1 ann", "b 1 bob", "c 1 phone") == ["a 1 ann", "b 1 bob", "c 1 phone", "tie"]
    output = told("--email", EMAIL, "--since", "2026-10-02T00:00:00Z")
    assert "not counted: 1 user id and 1 anonymous id" in output
    assert "Opted out: 2 ids." in told()
    for nothing in (
        ["--email", EMAIL, "--since", "2026-10-02T00:00:00Z"],
        ["--user", "bob", "--undo"],
    ):
        assert "Nothing was changed" in told(*nothing)
    first = ["a 1 ann", "b 1 bob", "b 3 bob", "c 1 phone", "tie"]
    assert built("a 3 ann", "b 3 bob", "c 3 phone") == first
    told("--user", "ann", "--undo", "--since", "2026-10-04T00:00:00Z")
    assert built("a 5 ann", "c 5 phone", "a 2 ann") == [*first[:1], "a 5 ann", *first[1:4],
                                                        "c 5 phone", "tie"]  # fmt: skip
    assert warehouse.query(
        "select day::text, events_accepted, events_rejected from marts.rejection_rates_daily"
        " where day > '2026-10-01' order by day"
    ) == [("2026-10-02", 0, 1), ("2026-10-03", 1, 2), ("2026-10-05", 2, 0)]


def test_each_command_helps_where_a_lake_is_no_more(warehouse: Warehouse, tmp_path: Path) -> None:
    """What one says is what another does; only to look finishes nothing."""
    for who in ("ann", "bob"):
        warehouse.land(event(f"of {who}", "page_viewed", who, path="/"))
    kept, gone = str(tmp_path / "kept"), str(tmp_path / "a lake that is gone")
    export(warehouse.database_url, kept)
    export(warehouse.database_url, gone)
    shutil.rmtree(gone)

    def told(status: int, name: str, *arguments: str) -> str:
        code, output = finished(script(warehouse, name, *arguments))
        assert code == status, output
        return output

    remedy = f"run scripts/export --to '{gone}' --forget"
    output = told(1, "erase", "--user", "ann", "--yes")
    assert remedy in output
    assert "scripts/erase --resume" in output
    output = told(0, "erase", "--user", "bob", "--dry-run")
    assert "An erasure is unfinished, and left as it is" in output
    assert f"Not looked at: {gone} has nothing" in output
    assert re.search(rf" 1  events of {kept}", output)
    assert warehouse.query("select state from raw.erasures") == [("raw",)]
    assert "scripts/erase --resume" in told(1, "export", "--to", kept)
    assert "scripts/erase --resume" in told(0, "export", "--to", gone, "--forget")
    told(0, "erase", "--resume")
    assert warehouse.query("select state from raw.erasures") == [("finished",)]
    told(0, "export", "--to", kept)
    assert [event_id for (event_id,) in rows_in(Path(kept), "events", ["event_id"])] == ["of bob"]


@pytest.mark.slow
def test_erasure_that_is_killed_is_finished_and_leaves_no_file(warehouse: Warehouse) -> None:
    """By the commands, with dbt's log and pages, the site and a dump of the database."""
    plant(warehouse)
    for event_type in ("page_viewed", "user_signed_up", "application_submitted"):
        # Of the event that begins an attempt the site shows the kind of device.
        warehouse.land(event(event_type, event_type, "person-4711-x", device=EMAIL, path="/apply"))
    warehouse.run(reports=True)
    folder = warehouse.project.parent
    query = (
        "select split_part(activity ->> 'device', '.', 2) as device from marts.fct_events"
        " where strpos(activity ->> 'device', '@') > 0"
    )
    for name, arguments in (("dbt", ("show", "--inline", query)), ("site", ())):
        code, output = finished(script(warehouse, name, *arguments))
        assert code == 0, output
    assert any("unmistakable" in path.read_text() for path in (folder / "logs").iterdir())
    assert "unmistakable" in (folder / "site" / "conversion.html").read_text()
    assert (folder / "site" / "docs" / "index.html").exists()

    code, output = finished(script(warehouse, "erase", "--email", EMAIL))
    assert code == 1
    assert "error: nobody is there to be asked: add --yes" in output
    code, output = finished(script(warehouse, "erase", "--email", EMAIL, "--dry-run"))
    assert code == 0
    assert re.search("^ +10  raw.events$", output, re.MULTILINE), output
    assert not any(value in output for value in PLANTED)
    assert warehouse.query("select from raw.erasures") == []

    # Killed when it has begun, when dbt starts and when dbt is at work; of others events come
    # meanwhile.
    people = ("--email", EMAIL, "--anonymous-id", "tablet-77aa", "--yes")
    for number, (line_before, at_work) in enumerate(
        [("Erasing from raw", False), ("Having dbt", False), ("Having dbt", True)]
    ):
        given = people if number == 0 else ("--resume",)
        with script(warehouse, "erase", *given, process_group=0) as killed:
            assert killed.stdout
            for line in killed.stdout:
                if line.startswith(line_before):
                    if at_work:
                        wait_until(lambda: warehouse.query(STATEMENTS_OF_DBT) != [])
                    os.killpg(killed.pid, signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        warehouse.land(event(f"meanwhile-{number}", "page_viewed", "bob", path="/"))
    assert warehouse.query("select state from raw.erasures") == [("raw",)]
    code, output = finished(script(warehouse, "erase", "--resume"))
    assert code == 0, output
    assert finished(script(warehouse, "erase", "--resume"))[0] == 0
    assert warehouse.query("select state from raw.erasures") == [("finished",)]
    code, output = finished(script(warehouse, "erase", *people))
    assert (code, "Nothing is held under them." in output) == (0, True)

    assert_nothing_is_left(warehouse)


@pytest.mark.slow
def test_erasure_beside_a_build_waits_for_it(warehouse: Warehouse) -> None:
    """The build that runs still makes something of them; nothing of that is left."""
    plant(warehouse)
    warehouse.dbt("seed")
    with script(warehouse, "dbt", "run", "--exclude", "path:models/reports") as build:
        assert build.stdout
        for line in build.stdout:
            if "START" in line:
                break
        people = ("--email", EMAIL, "--anonymous-id", "tablet-77aa", "--yes")
        code, output = finished(script(warehouse, "erase", *people))
        assert build.wait() == 0, build.stdout.read()
    assert code == 0, output
    assert "Waiting for another dbt run" in output
    assert_nothing_is_left(warehouse)
    assert finished(script(warehouse, "dbt", "run", "--force"))[0] == 0


def assert_nothing_is_left(warehouse: Warehouse) -> None:
    """Neither in a dump of the database nor in a file."""
    folder = warehouse.project.parent
    dump = subprocess.run(
        [programs() / "pg_dump", warehouse.database_url], capture_output=True, check=True
    ).stdout
    files = [
        path for path in folder.rglob("*") if path.is_file() and "dbt_project" not in path.parts
    ]
    assert len(files) > 10
    for value in (*PLANTED, *PLANTED_TOO):
        text = value.lower().encode()
        assert text not in dump.lower()
        assert [path for path in files if text in path.read_bytes().lower()] == []
