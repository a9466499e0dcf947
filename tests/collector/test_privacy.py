"""Email, name and the key of the email hash stay in the database."""

from __future__ import annotations

import hmac
import os
import subprocess
import unicodedata
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.migrate import migrate
from collector.settings import ROOT
from scripts.lib.base.cli import UserError, printable
from scripts.lib.base.database import embedded_server
from tests.support.api import JSON, event
from tests.support.collector import running_collector
from tests.support.postgres import own_server
from tests.support.warehouse import Warehouse

SECRET = "Lovelace"
# What PostgreSQL's errors repeat: a row, a key, and a value. No statement here has it itself.
PLANTED = """
    create table public.people (name text primary key);
    insert into public.people values ('Lovelace');
    create table public.checked (name text check (name = ''));
    create table public.cast_number (n numeric);
"""
FAULTS = {
    "row": "insert into public.checked select name from public.people",
    "key": "insert into public.people select name from public.people",
    "value": "insert into public.cast_number select name::numeric from public.people",
    "json": "insert into public.checked select name::jsonb ->> 'n' from public.people",
    "dynamic": "do $$ begin execute (select format('select %L::int', name) from people); end $$",
}
SCRATCH = """
name: scratch
version: 0.1.0
config-version: 2
profile: headwater
flags: {send_anonymous_usage_stats: false}
"""


def test_rows_stay_out_of_what_dbt_says(database: str, tmp_path: Path) -> None:
    """Not on the terminal, in no log, in no artifact; what went wrong is said all the same."""
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(SCRATCH)
    for name, statement in FAULTS.items():
        model = f'{{{{ config(pre_hook="{statement}") }}}} select 1 as one'
        (project / "models" / f"{name}.sql").write_text(model)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(PLANTED)
        for statement in FAULTS.values():  # they do repeat it
            with pytest.raises(psycopg.Error, match=SECRET.lower() + "|" + SECRET):
                connection.execute(statement)
        connection.execute("grant all on all tables in schema public to headwater_transformer")
    finished = subprocess.run(
        [ROOT / "scripts" / "dbt", "--no-use-colors", "--log-level", "debug", "run",
         "--project-dir", project],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database, "HEADWATER_DATA": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"ERROR={len(FAULTS)}" in finished.stdout, finished.stdout
    for said in ("violates check constraint", "duplicate key", "invalid input syntax", "not shown"):
        assert said in finished.stdout
    written = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert any("run_results" in path.name for path in tmp_path.rglob("*"))
    for text in (finished.stdout, finished.stderr, *written):
        assert SECRET.lower() not in text.lower()


def test_payloads_stay_out_of_the_log_of_postgresql() -> None:
    poison = f'{{"eventType":"page_viewed","userId":"{SECRET}","activity":{{"a":"\\u0000"}}}}'
    with own_server() as (url, data):
        migrate(url)
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute("alter system set log_statement = 'all'")
            connection.execute("select pg_reload_conf()")
        with running_collector(url) as collector:
            for body in (poison, f"[{poison}]"):
                refused = httpx.post(f"{collector.url}/events", content=body, headers=JSON)
                assert refused.status_code == 422
            user = f'{{"userId":"{SECRET}","name":"\\u0000"}}'
            assert httpx.post(f"{collector.url}/users", content=user).status_code == 422
            stored = httpx.post(f"{collector.url}/events", json=event(userId=SECRET))
            assert stored.status_code == 200
        log = (data / "log").read_text()
    assert "ERROR:" in log
    assert "insert into raw.events" in log
    assert SECRET not in log


def test_socket_is_where_nobody_else_gets_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a path too long for one, where the wheel would make a folder for everybody."""
    with TemporaryDirectory(prefix="hw-", dir="/tmp") as folder:
        data = Path(folder) / ("x" * 100) / "postgres"
        with embedded_server(data):
            assert (data / ".s.PGSQL.5432").is_socket()
            assert data.stat().st_mode & 0o077 == 0
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        links = tmp_path / f"headwater-{os.geteuid()}"
        links.mkdir()
        links.chmod(0o777)  # anybody could lead the way elsewhere
        with pytest.raises(UserError, match="not a folder of yours alone"), embedded_server(data):
            pass


@given(st.text())
def test_printable_text_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    for before, after in zip(text, shown, strict=True):
        steers = unicodedata.category(before) in ("Cc", "Cf", "Cs", "Co", "Cn")
        assert after == ("\ufffd" if steers else before)


def test_nothing_personal_leaves_the_database(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    warehouse.execute(
        """
        insert into raw.users (received_at, occurred_at, source, user_id, payload)
        values (now(), now(), 'default', '1', %s)
        """,
        '{"email": " Ada.Lovelace@example.com\\n", "name": "Ada Lovelace", "ficoScore": 720}',
    )
    warehouse.build("--indirect-selection", "cautious", "--select", "+dim_users", "+fct_events")
    warehouse.dbt("docs", "generate")
    [(inner_pad, outer_pad)] = warehouse.query(
        "select encode(inner_pad, 'hex'), encode(outer_pad, 'hex') from secret.email_hash_key"
    )
    written = [path for path in warehouse.project.parent.rglob("*") if path.is_file()]
    assert len(written) > 50
    assert warehouse.project / "logs/dbt.log" in written
    for path in written:
        content = path.read_bytes().lower()
        for secret in ("lovelace", inner_pad, outer_pad):
            assert secret.encode() not in content, path

    # HMAC-SHA256 of the trimmed and lower-cased address, by Python's own implementation.
    key_pads = warehouse.query("select inner_pad from secret.email_hash_key")
    key = bytes(byte ^ 0x36 for byte in bytes(key_pads[0][0]))
    expected = hmac.new(key, b"ada.lovelace@example.com", "sha256").hexdigest()
    assert warehouse.query("select email_hash, score_band from marts.dim_users") == [
        (expected, "good")
    ]
