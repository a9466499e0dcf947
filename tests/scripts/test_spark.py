"""On Apache Spark the marts are those of PostgreSQL, cell by cell, whatever befalls a worker.

HEADWATER_EVERY_NTH=1 takes the logs whole, of which it is every fiftieth user otherwise.
"""

from __future__ import annotations

import os
import re
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from scripts.lib.replay.run import replay
from scripts.lib.spark.cluster import LIGHT_JAVA
from scripts.lib.spark.place import unfinished
from tests.support.collector import running_collector
from tests.support.generated import Sent, histories, land
from tests.support.histories import (
    BPI2012,
    BPI2012_MAPPING,
    UCI_CREDIT,
    UCI_CREDIT_MAPPING,
    every_nth_user,
)
from tests.support.scripts import starting
from tests.support.spark import (
    BUILD_SECONDS,
    differing_rows,
    events_of,
    executors_at_work,
    java_below,
    needs_spark,
)
from tests.support.warehouse import Warehouse
from tests.support.worlds import SMALL, define

EVERY_NTH = int(os.environ.get("HEADWATER_EVERY_NTH", "50"))
# With rows as few as here, what the second compiler takes is more than the tasks do.
LIGHT_EXECUTORS = f"spark.executor.extraJavaOptions={LIGHT_JAVA}"
LOGS = {BPI2012: BPI2012_MAPPING, UCI_CREDIT: UCI_CREDIT_MAPPING}
# Tests about PostgreSQL's transactions and the marks that go by them.
OF_MARKS = {
    "no_personal_values_where_none_are_planned",
    "not_null_stg_raw_lag_raw_table",
    "not_null_stg_source_freshness_source_table",
    "raw_is_read_to_its_end",
    "staging_conserves_every_raw_row",
    "unique_stg_raw_lag_raw_table",
    "unique_stg_source_freshness_source_table",
}
# Values that the two engines have had in two ways: letters without one lower case, and signs that
# JSON escapes, as campaign, as segment of a funnel, in ids, and as an id that means nobody.
UNLIKE = [
    Sent(0, SMALL.monday + timedelta(days=9), "web", f"unlike.{number}\x1f", event | {
        "occurredAt": (SMALL.monday + timedelta(days=2, minutes=number)).isoformat()
    })
    for number, event in enumerate((
        {"eventType": "user_signed_up", "userId": "unlike\x1b", "anonymousId": "unlike\x0b",
         "activity": {"device": "\x1f", "appVersion": "\\u001F\x1f"}},
        {"eventType": "page_viewed", "userId": "unlike\x1b", "activity": {
            "path": "/", "utmSource": "\u0130stanbul", "utmCampaign": "\u039f\u0394\u039f\u03a3",
            "device": "\x1f"}},
        {"eventType": "page_viewed", "userId": "UNDEF\u0130NED", "anonymousId": "unlike",
         "activity": {"path": "/"}},
        {"eventType": "user_aliased", "userId": "unlike\x1b",
         "activity": {"previousId": "undef\u0130ned"}},
    ))
]  # fmt: skip
OPT_OUTS = """
    insert into raw.opt_outs (changed_at, id_kind, id, is_out) values
    ('2026-09-03', 'user', '17', true), ('2026-09-05', 'user', '17', false),
    ('2026-09-01', 'anonymous', 'a25', true)
"""


@needs_spark
@pytest.mark.slow
def test_marts_are_those_of_postgresql_where_a_worker_is_killed(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    as_of = "2026-09-21T00:00:00+00:00"
    define(warehouse, changed=True, zone=SMALL.zones[-1])
    for seed in ("annotations", "goals"):  # those shipped are of other funnels
        warehouse.set_seed(seed, [])
    land(warehouse, histories(1, SMALL.users, 2, SMALL.monday, SMALL.midnights))
    land(warehouse, UNLIKE)
    warehouse.execute(OPT_OUTS)
    with running_collector(warehouse.database_url) as collector:
        for log, mapping in LOGS.items():
            if log.exists():  # as it is not committed
                some = every_nth_user(log, EVERY_NTH, tmp_path / f"{mapping.stem}.csv")
                outcome = replay(some, mapping, url=collector.url, data_directory=tmp_path)
                assert outcome.accepted > 3000
                assert not outcome.rejected
    warehouse.run(as_of=as_of)
    lake, marts, events = (tmp_path / name for name in ("lake", "marts", "events"))
    events.mkdir()
    with starting(warehouse.database_url, tmp_path) as start:
        assert start("export", "--to", str(lake)).wait() == 0
        build = start(
            "spark", "--lake", str(lake), "--to", str(marts), "--as-of", as_of,
            "--event-log", str(events), "--project", str(warehouse.project), "--test",
            "--conf", LIGHT_EXECUTORS,
        )  # fmt: skip
        deadline = time.monotonic() + BUILD_SECONDS
        while len(executors_at_work(events)) < 2:
            assert build.poll() is None, build.communicate()
            assert time.monotonic() < deadline
            time.sleep(1)
        begun = psutil.Process(build.pid).children(recursive=True)
        java_below(build.pid, "Worker")[0].kill()
        output, errors = build.communicate(timeout=BUILD_SECONDS)
        assert build.returncode == 0, output[-4000:] + errors[-2000:]
    # All of the models' tests but those of views that only PostgreSQL has, and of its marks.
    manifest = warehouse.manifest()
    passed = re.findall(r" \d+ of \d+ (?:PASS|WARN \d+) ([\w.]+(?:::\w+)?)", output)
    assert {name.rpartition("::")[2] for name in passed if "::" in name} == {
        test["name"]
        for test in manifest["unit_tests"].values()
        if not test["original_file_path"].startswith("models/reports/")
    }
    assert {name for name in passed if "::" not in name} == {
        test["name"]
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and not test["original_file_path"].startswith("models/reports/")
    } - OF_MARKS
    assert "SparkListenerExecutorRemoved" in {each["Event"] for each in events_of(events)}
    assert not psutil.wait_procs(begun, timeout=30)[1]
    assert differing_rows(warehouse, marts / "current" / "marts.db") == {}


@needs_spark
def test_what_cannot_be_built_is_said_in_a_line(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    empty, lake = str(tmp_path / "empty"), str(tmp_path / "lake")
    places = ("--to", str(tmp_path / "marts"))
    busy = tmp_path / "busy"
    with starting(database, tmp_path) as start, unfinished(busy):
        assert start("export", "--to", lake).wait() == 0
        for arguments, environment, said in (
            (("--lake", lake, *places), {"JAVA_HOME": empty}, "Spark needs Java"),
            (("--lake", empty, *places), {}, "is no lake"),
            (("--lake", str(tmp_path / "other"), *places), {}, "is not empty and no lake"),
            (("--lake", lake, "--to", str(tmp_path / "other")), {}, "has no builds of this"),
            (
                ("--lake", lake, *places, "--master", "spark://127.0.0.1:1,127.0.0.1:2"),
                {},
                "no master",
            ),
            (("--lake", lake, *places, "--master", "foo"), {}, "must be spark://HOST:PORT"),
            (("--lake", lake, *places, "--master", "local[0]"), {}, "must be spark://HOST:PORT"),
            (("--lake", lake, *places, "--master", "spark://a"), {}, "must be spark://HOST:PORT"),
            (("--lake", lake, *places, "--as-of", "now"), {}, "must be a time with its zone"),
            (("--lake", lake, *places, "--conf", "x=1"), {}, "give spark.NAME=VALUE"),
            (("--lake", lake, "--to", str(busy)), {}, "another build goes into"),
        ):
            process = start("spark", *arguments, **environment)
            _, errors = process.communicate(timeout=120)
            assert process.returncode in (1, 2)
            assert said in errors, errors
            assert errors.count("\n") == 1, errors
    assert not (tmp_path / "marts" / "current").exists()
