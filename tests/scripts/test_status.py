"""scripts/status: builds that fail or do not come are noticed, and somebody is told."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector import __version__
from tests.support.collector import status
from tests.support.warehouse import Warehouse
from tests.support.webhook import webhook

pytestmark = pytest.mark.every_postgres


def metrics(file: Path) -> dict[str, float]:
    """The metrics of a file by name and label, as Prometheus reads them."""
    families = text_string_to_metric_families(file.read_text())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.slow
def test_failed_and_missed_builds(warehouse: Warehouse, tmp_path: Path) -> None:
    types = warehouse.seed("event_types")
    warehouse.set_seed("event_types", [types[0] | {"is_interaction": "perhaps"}])
    assert warehouse.try_dbt("build").returncode == 1
    with webhook() as (url, posted):
        failed = status(warehouse.database_url, url=url)
    assert (failed.returncode, failed.stdout[:8]) == (1, "failed: ")
    assert [post["status"] for post in posted] == ["failed"]
    assert "failed or were skipped" in posted[0]["text"]

    warehouse.set_seed("event_types", types)
    warehouse.dbt("build", "--select", "segments")
    file = tmp_path / "headwater.prom"
    known = status(warehouse.database_url, "--textfile", str(file))
    assert known.returncode == 1  # a part says nothing of the whole
    assert metrics(file)["headwater_last_build_failures"] >= 1
    assert "headwater_last_good_build_timestamp_seconds" not in metrics(file)
    began = time.time()
    warehouse.dbt("build")
    warehouse.land(
        {"eventType": "page_viewed", "userId": "late", "eventId": "late", "activity": {}}
    )
    with webhook() as (url, posted):
        good = status(warehouse.database_url, "--textfile", str(file), url=url)
        assert (good.returncode, posted) == (0, []), good.stdout
        written = metrics(file)
        assert written["headwater_builds_status ok"] == 1
        assert written["headwater_builds_status failed"] == 0
        assert written["headwater_last_build_failures"] == 0
        assert began < written["headwater_last_good_build_timestamp_seconds"] < time.time()
        assert written["headwater_unread_rows raw.events"] == 1
        assert written["headwater_unread_rows raw.users"] == 0
        assert written["headwater_unread_seconds raw.events"] > 0
        assert written[f"headwater_info {__version__}"] == 1
        warehouse.execute("update staging.builds set started_at = started_at - interval '3 hours'")
        missed = status(warehouse.database_url, url=url)
        assert (missed.returncode, posted[0]["status"]) == (1, "missed")
        assert "more than 60 minutes ago" in posted[0]["text"]
        assert status(warehouse.database_url, "--max-age", "300", url=url).returncode == 0


def test_rights_that_are_missing_are_no_missed_build(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema staging")
    separator = "&" if "?" in database else "?"
    analyst = f"{database}{separator}options=-crole%3Dheadwater_analyst"
    with webhook() as (url, posted):
        refused = status(analyst, url=url)
    assert (refused.returncode, posted) == (1, [])
    assert "headwater_analyst may not read the schema staging" in refused.stderr


def test_nothing_built_and_nobody_there(database: str, tmp_path: Path) -> None:
    with webhook(answer=404) as (url, posted):
        missed = status(database, url=url)
    assert missed.returncode == 1
    assert posted[0]["status"] == "missed"
    assert missed.stderr == "error: ALERT_WEBHOOK_URL answered 404\n"
    file = tmp_path / "headwater.prom"
    status(database, "--textfile", str(file))
    written = metrics(file)
    assert written["headwater_builds_status missed"] == 1
    [ahead] = [months for name, months in written.items() if "partitions_ahead" in name]
    assert ahead == 12
    away = status("postgresql://someone:s3cret@127.0.0.1:1/nowhere", url=url)
    assert away.returncode == 1
    assert away.stdout == "unreachable: nowhere on 127.0.0.1 cannot be reached\n"
    assert "no answer" in away.stderr
    assert "s3cret" not in away.stdout + away.stderr
    nowhere = status(database, "--textfile", "/nowhere/headwater.prom")
    assert nowhere.returncode == 1
    assert "error: --textfile /nowhere/headwater.prom cannot be written" in nowhere.stderr


def test_rows_that_cannot_be_written_out_are_named(database: str) -> None:
    """Such as older collectors stored: a number of 8 bytes, and 131,072 digits in every backup."""
    sound = '{"a": [1e300, 1e-300, -12.5, "1e131071", {"b": 0}]}'
    with psycopg.connect(database) as connection:
        for number, payload in enumerate((sound, '{"a": [[{"b": 1e131071}]]}', '{"a": 1e-16000}')):
            connection.execute(
                "insert into raw.events (received_at, source, event_id, payload)"
                " values (now(), 'web', %s, %s)",
                [f"e{number}", payload],
            )
            connection.execute(
                "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
                " values (now(), now(), 'web', 'secret', %s)",
                [payload],
            )
    found = status(database, "--raw")
    assert found.returncode == 1
    assert "4 rows of raw" in found.stdout
    for row in ("events: event_row_id 2", "events: event_row_id 3", "users: user_row_id 3"):
        assert row in found.stdout
    assert "reload_raw" in found.stdout
    assert "secret" not in found.stdout
    with psycopg.connect(database) as connection:
        connection.execute("delete from raw.events where event_row_id > 1")
        connection.execute("delete from raw.users where user_row_id > 1")
    assert status(database, "--raw").returncode == 0
