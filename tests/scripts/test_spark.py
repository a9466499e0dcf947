"""On Apache Spark the marts are those of PostgreSQL, cell by cell, whatever befalls a worker.

HEADWATER_EVERY_NTH=1 takes the logs whole, of which it is every fiftieth user otherwise.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest

from scripts.lib.replay.run import replay
from scripts.lib.spark.cluster import GUARD, LIGHT_JAVA, local_cluster
from scripts.lib.spark.place import publish, unfinished
from scripts.lib.spark.translate import to_spark
from tests.support.collector import running_collector
from tests.support.generated import Sent, histories, land
from tests.support.histories import (
    BPI2012,
    BPI2012_MAPPING,
    UCI_CREDIT,
    UCI_CREDIT_MAPPING,
    every_nth_user,
)
from tests.support.macros import render
from tests.support.percentiles import percentiles_of_times
from tests.support.scripts import starting
from tests.support.spark import (
    IS_THERE,
    asked,
    differing_rows,
    events_of,
    executors_at_work,
    java_below,
    lives,
    queries_at_work,
)
from tests.support.warehouse import Warehouse
from tests.support.worlds import SMALL, define

needs_spark = pytest.mark.skipif(not IS_THERE, reason="needs Java and scripts/install --spark")
EVERY_NTH = int(os.environ.get("HEADWATER_EVERY_NTH", "50"))
BUILD_SECONDS = 900
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
# What stands beside a sign that JSON escapes.
TOLD_BY = ("\\", "\\u001F", "\x1f", '"')
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
@pytest.mark.slow
@pytest.mark.parametrize(("sent", "is_own"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_a_signal_ends_a_build_at_once(
    sent: signal.Signals, is_own: bool, warehouse: Warehouse, tmp_path: Path
) -> None:
    land(warehouse, histories(1, SMALL.users, 2, SMALL.monday, SMALL.midnights))
    lake, marts, events = (tmp_path / name for name in ("lake", "marts", "events"))
    with unfinished(marts) as folder:
        before = publish(folder)
    with ExitStack() as stack:
        start = stack.enter_context(starting(warehouse.database_url, tmp_path))
        assert start("export", "--to", str(lake)).wait() == 0
        options, environment = [], {}
        if not is_own:
            theirs = stack.enter_context(local_cluster(1))
            options += ["--master", theirs.master]
            environment["SPARK_CONF_DIR"] = os.environ["SPARK_CONF_DIR"]
            cluster = psutil.Process().children(recursive=True)
        build = start(
            "spark", "--lake", str(lake), "--to", str(marts), "--event-log", str(events),
            *options, **environment,
        )  # fmt: skip
        deadline = time.monotonic() + BUILD_SECONDS
        while not queries_at_work(events):
            assert build.poll() is None, build.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        begun = psutil.Process(build.pid).children(recursive=True)
        assert any(each.name() == "java" for each in begun)
        build.send_signal(sent)
        signalled = time.monotonic()
        output, errors = build.communicate(timeout=BUILD_SECONDS)
        # Before those that wait ten seconds send SIGKILL.
        assert time.monotonic() - signalled < 8
        assert build.returncode == 128 + sent
        assert errors.endswith(f"error: ended by {sent.name}; `current` is as it was\n")
        for word in ("Traceback", "CANCEL", "ERROR", "Exception"):
            assert word not in output + errors, output + errors
        # What was killed with SIGKILL can take a moment to be gone.
        assert not [each for each in psutil.wait_procs(begun, timeout=3)[1] if lives(each)]
        assert (marts / "current").resolve().name == before
        assert {each.name for each in (marts / "builds").glob("[!.]*")} == {before}
        if not is_own:
            assert all(each.is_running() for each in cluster)
            deadline = time.monotonic() + 20
            while java_below(os.getpid(), "CoarseGrainedExecutorBackend"):
                assert time.monotonic() < deadline
                time.sleep(0.2)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("payload -> 'a' ->> 'b'",
         "CAST(VARIANT_GET(VARIANT_GET(payload, '$.a', 'variant'), '$.b', 'variant') AS STRING)"),
        ("f(payload -> 'a')", "F(VARIANT_GET(payload, '$.a', 'variant'))"),
        ("a || array[b]", "CONCAT(COALESCE(a, ARRAY()), ARRAY(b))"),
        ("'x' || b", "CONCAT('x', b)"),
        ("(array_agg(a order by b desc) filter (where c))[1]",
         "MAX_BY(a, STRUCT(b)) FILTER(WHERE c)"),
        ("a[b]", "GET(a, (b) - 1)"),
        ("a at time zone 'UTC'", "a"),
        ("a::timestamp at time zone b", "TO_UTC_TIMESTAMP(CAST(a AS TIMESTAMP), b)"),
        ("a at time zone b", "FROM_UTC_TIMESTAMP(a, b)"),
        ("lower(a)", "LOWER(TRANSLATE(a, '\u0130\u03a3', 'i\u03c3'))"),
        ("a ~* 'b'", "a RLIKE '(?i)b'"),
        ("regexp_replace(a, 'b(c)', '\\1', 'gi')", "REGEXP_REPLACE(a, '(?i)b(c)', '$1')"),
    ],
)  # fmt: skip
def test_each_kind_of_expression_has_a_rule(ours: str, theirs: str) -> None:
    words = " ".join(to_spark(f"select {ours} as x from t").split())  # noqa: S608
    assert words.replace("( ", "(").replace(" )", ")") == f"SELECT {theirs} AS x FROM t"  # noqa: S608


@needs_spark
@pytest.mark.slow
def test_percentiles_are_exact(tmp_path: Path) -> None:
    query, expected = percentiles_of_times()
    assert [tuple(row) for row in asked(query, tmp_path)] == expected


@needs_spark
def test_texts_in_lower_case_and_in_keys_are_those_of_postgresql(
    postgres_url: str, tmp_path: Path
) -> None:
    letters = [each for each in map(chr, range(sys.maxunicode)) if each.lower() != each]
    signs = [*map(chr, range(1, 0x21)), '"', "\\", "/", "\x7f", "\x85", "\u2028", "\ufeff"]
    texts = [f"{each} a{each} {each}a" for each in letters]
    texts += [
        f"{before}{sign}{after}"
        for sign in signs
        for before in ("", *TOLD_BY)
        for after in ("", *TOLD_BY)
    ]
    values = ", ".join("('" + each.replace("'", "''") + "')" for each in texts)
    key = render("surrogate_key", ["t.v", "1"])
    query = f"select t.v, lower(t.v), {key} from (values {values}) as t (v)"  # noqa: S608
    with closing(psycopg.connect(postgres_url)) as connection:
        ours = set(connection.execute(query).fetchall())
    theirs = set(asked(query, tmp_path))
    # Letters of a newer Unicode than PostgreSQL's C library has are not told apart there.
    unknown = {row[0] for row in ours if row[0] == row[1] and row[0] in texts[: len(letters)]}
    assert len(unknown) < 100
    assert {row for row in ours ^ theirs if row[0] not in unknown} == set()


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


def test_nothing_runs_on_where_the_command_is_killed() -> None:
    """The guard of `cluster.py` ends what it runs as soon as whoever started it is gone."""
    process = subprocess.Popen(
        ["sh", "-c", GUARD, "sh", "sh", "-c", "sleep 1000; true"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    # The program, what that has started, and what waits for this process.
    while len(children := psutil.Process(process.pid).children(recursive=True)) < 3:
        time.sleep(0.01)
    assert process.stdin
    process.stdin.close()  # as where the process is gone that holds it
    process.wait(timeout=10)
    assert not psutil.wait_procs(children, timeout=10)[1]
