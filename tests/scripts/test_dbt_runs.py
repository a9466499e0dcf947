"""scripts/dbt: no run on nonsense, one writing run at a time, nothing left behind, and --every."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from psycopg import sql

from collector.settings import ROOT
from scripts.lib.dbt.environment import ROLE
from scripts.lib.dbt.lock import RUN_NAME, writing_lock
from tests.support.collector import rows_of, wait_until
from tests.support.scripts import Start

BUILT = shutil.ignore_patterns("target", "logs")
PROJECT = """
name: scratch
version: 0.1.0
config-version: 2
profile: scratch
flags: {send_anonymous_usage_stats: false}
"""
PROFILE = """
scratch:
  target: prod
  outputs:
    prod:
      type: postgres
      host: "{{ env_var('PGHOST') }}"
      port: "{{ env_var('PGPORT', '5432') | int }}"
      user: "{{ env_var('PGUSER') }}"
      password: "{{ env_var('PGPASSWORD', '') }}"
      dbname: "{{ env_var('PGDATABASE') }}"
      schema: scratch
      threads: 4
      application_name: "{{ env_var('PGAPPNAME') }}"
"""


@pytest.fixture
def dbt(start: Start, tmp_path: Path) -> Start:
    """Runs a scratch dbt project whose one table is made by the given SQL."""
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILE)

    def dbt(sql: str, *options: str) -> subprocess.Popen[str]:
        (tmp_path / "models" / "model.sql").write_text("{{ config(materialized='table') }}" + sql)
        here = str(tmp_path)
        return start("dbt", *options, "run", "--project-dir", here, DBT_PROFILES_DIR=here)

    return dbt


def sleeping(database: str) -> int:
    """How many backends of dbt run the scratch model."""
    rows = rows_of(
        database,
        "select count(*) from pg_stat_activity where application_name = %s and"
        " datname = current_database() and state = 'active' and query like '%%pg_sleep%%'",
        RUN_NAME,
    )
    return int(rows[0][0])


def test_dbt_passes_its_status_on(dbt: Start) -> None:
    good = dbt("select 1 as one")
    assert good.communicate()[0]
    assert good.returncode == 0
    bad = dbt("select 1 / 0 as one")
    assert "division by zero" in bad.communicate()[0]
    assert bad.returncode == 1


def test_dbt_is_not_started_on_nonsense(start: Start, tmp_path: Path) -> None:
    project = shutil.copytree(ROOT / "dbt_project", tmp_path / "project", ignore=BUILT)
    seed = project / "seeds/funnels.csv"
    seed.write_text(seed.read_text().replace(",90,", ",-7,"))
    process = start("dbt", "build", "--project-dir", str(project))
    output, errors = process.communicate()
    assert (process.returncode, output) == (1, "")
    said = r"dbt_project/seeds/funnels\.csv line 1\d: window_days '-7' is none: .*\n"
    assert re.fullmatch(f"error: {said}(?:{said}){{3}}", errors)
    assert not (project / "target").exists()


def test_connections_that_postgresql_ends_while_they_idle_are_made_anew(
    dbt: Start, database: str, tmp_path: Path
) -> None:
    """Four threads: three wait for a model, and keep what they were connected by."""
    with psycopg.connect(database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("alter database {} set idle_session_timeout = 1500").format(name)
        )
    table = "{{ config(materialized='table') }} select 1 as one"
    for number in range(3):
        (tmp_path / f"models/quick_{number}.sql").write_text(table)
        (tmp_path / f"models/late_{number}.sql").write_text(f"{table} from {{{{ ref('model') }}}}")
    slow = dbt("select pg_sleep(3)::text as slept", "--no-use-colors")
    output, errors = slow.communicate()
    assert "PASS=7 " in output, output + errors


# What a session can be told, but for its settings.
TOLD = (
    "create temporary table left_behind (x text)",
    "prepare asked as select 1",
    "declare open_still cursor with hold for select 1",
    "listen news",
    "select pg_advisory_lock(4711)",
)
ROLES = ("set role pg_monitor", "set session authorization pg_monitor")
STATE = """
    select current_user::text as who, session_user::text as login,
        (select count(*) from pg_prepared_statements) as prepared,
        (select count(*) from pg_cursors where is_holdable) as cursors,
        (select count(*) from pg_listening_channels()) as channels,
        (select count(*) from pg_locks
            where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
        (select count(*) from pg_class where relnamespace = pg_my_temp_schema()) as tables,
        (select jsonb_object_agg(name, setting) from pg_settings) as settings
"""
# Another value of each that harms nobody.
SETTINGS = """
    select format('set %I = %L', name, case vartype
        when 'bool' then case setting when 'on' then 'off' else 'on' end
        when 'enum' then (select max(value) from unnest(enumvals) as value where value <> setting)
        else greatest(min_val::numeric, least(max_val::numeric, setting::numeric + 7))::text
    end)
    from pg_settings
    where context = 'user' and vartype in ('bool', 'enum', 'integer')
        and name !~ 'timeout|^transaction|_flush_|^log_|^debug_'
    order by name
"""


@pytest.mark.every_postgres
@pytest.mark.parametrize("number", range(3))
def test_next_model_finds_a_connection_as_good_as_new(
    dbt: Start, database: str, tmp_path: Path, number: int
) -> None:
    """Whatever a model, or a hook of somebody's own, has told the session."""
    dice = random.Random(number)
    settings = [statement for (statement,) in rows_of(database, SETTINGS)]
    assert len(settings) > 60
    # Settings last: after some of them nothing else can be told.
    told = [*dice.sample(TOLD, 4), *dice.sample(settings, 40), ROLES[number % 2]]
    assert dbt(STATE, "--single-threaded").wait() == 0
    [expected] = rows_of(database, "select * from scratch.model")
    assert expected[0] == ROLE != expected[1]

    hooks = [{"sql": statement, "transaction": False} for statement in told]
    config = {"materialized": "table", "post_hook": hooks}
    (tmp_path / "models/telling.sql").write_text(f"{{{{ config(**{config}) }}}} select 1 as one")
    after = f"{STATE} from {{{{ ref('telling') }}}}"
    output, errors = dbt(after, "--single-threaded", "--no-use-colors").communicate()
    assert "PASS=2 " in output, output + errors
    assert rows_of(database, "select * from scratch.model") == [expected]


def test_second_writing_run_waits_for_the_first(dbt: Start, database: str) -> None:
    with writing_lock(database, print):
        process = dbt("select 1 as one")
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("Waiting for another dbt run (its backend ")
        assert rows_of(database, "select to_regclass('scratch.model')") == [(None,)]
    process.communicate()
    assert process.returncode == 0
    assert rows_of(database, "select one from scratch.model") == [(1,)]


def test_lock_is_held_until_dbt_itself_is_gone(dbt: Start, database: str) -> None:
    process = dbt("select 1 as one from pg_sleep(600)")
    wait_until(lambda: sleeping(database) > 0)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    lock = "select pg_try_advisory_lock(hashtext('headwater'), hashtext('dbt'))"
    assert rows_of(database, lock) == [(False,)]
    child.kill()

    said: list[str] = []
    with writing_lock(database, said.append):
        wait_until(lambda: sleeping(database) == 0)
    assert said[-1].startswith("Ended what a killed dbt run left behind: backend ")


@pytest.mark.parametrize("options", [(), ("--every", "0")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_dbt_leaves_no_query_behind(
    dbt: Start, database: str, number: signal.Signals, options: tuple[str, ...]
) -> None:
    process = dbt("select 1 as one from pg_sleep(600)", *options)
    wait_until(lambda: sleeping(database) > 0)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    wait_until(lambda: sleeping(database) == 0)


def test_repeated_dbt_goes_on_after_a_failure(
    dbt: Start, database: str, postgres_url: str, tmp_path: Path
) -> None:
    process = dbt("select count(*) as earlier from public.absent", "--every", "0.1")
    assert process.stdout is not None
    outcomes = (line.split()[2] for line in process.stdout if line.startswith("Run "))
    assert next(outcomes) == "failed"
    with psycopg.connect(database) as connection:
        connection.execute("create table public.absent (id integer)")
        connection.execute("grant select on public.absent to headwater_transformer")
    assert "succeeded" in itertools.islice(outcomes, 20)
    earlier = "select earlier from scratch.model"
    assert rows_of(database, earlier) == [(0,)]
    # What it parsed is kept for as long as it is as it was.
    model = tmp_path / "models" / "model.sql"
    model.write_text("{{ config(materialized='table') }} select 7 as earlier")
    assert any(rows_of(database, earlier) == [(7,)] for _ in itertools.islice(outcomes, 20))

    name = urlsplit(database).path[1:]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        closing = sql.SQL("alter database {} allow_connections {}")
        connection.execute(closing.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            assert "failed" in itertools.islice(outcomes, 20)
            assert next(outcomes) == "failed"  # not even the lock can be had
        finally:
            connection.execute(closing.format(sql.Identifier(name), sql.Literal(True)))
    assert "succeeded" in itertools.islice(outcomes, 200)


def test_interrupt_that_is_ignored_stays_so(dbt: Start) -> None:
    """As that of a command which a script starts in the background."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = dbt("select 1 as one", "--every", "0.1")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert process.stdout is not None
    outcomes = (line.split()[2] for line in process.stdout if line.startswith("Run "))
    assert next(outcomes) == "succeeded"
    process.send_signal(signal.SIGINT)
    assert [next(outcomes) for _ in range(4)] == ["succeeded"] * 4
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("pause", ["", "-1", "soon", "nan", "1e9"])
def test_pause_that_is_none(start: Start, pause: str) -> None:
    _, errors = start("dbt", "--every", pause, "run").communicate()
    assert errors == "error: --every needs a number of seconds from 0 to 86400\n"
