"""The collector behind PgBouncer in transaction mode, where no session is its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from collector.settings import ROOT
from tests.support.api import POISON, assert_problem, bearer, event, make_key, post_at_once
from tests.support.collector import rows_of, running_collector, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("pgbouncer"), reason="PgBouncer is not installed")

HELD = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


@contextmanager
def pgbouncer(database_url: str, mode: str, size: int) -> Iterator[str]:
    """Runs Debian's PgBouncer with `size` connections to a database; yields its own URL."""
    parts = conninfo_to_dict(database_url)
    given = [
        f"{key}={parts[key]}" for key in ("host", "port", "user", "password") if parts.get(key)
    ]
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        Path(folder).chmod(0o755)
        file = Path(folder, "pgbouncer.ini")
        file.write_text(
            f"[databases]\n{parts['dbname']} = {' '.join(given)}\n"
            f"[pgbouncer]\npool_mode = {mode}\ndefault_pool_size = {size}\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        )
        host = Path(str(parts["host"]))  # a folder with a socket, which its owner may open
        user = host.owner() if host.is_dir() else "nobody"
        with subprocess.Popen(
            ["pgbouncer", file],
            user=user if os.geteuid() == 0 else None,  # it refuses to run as root
            stderr=subprocess.DEVNULL,
        ) as process:
            url = f"postgresql://{parts['user']}@127.0.0.1:{port}/{parts['dbname']}"
            try:
                wait_until(lambda: answers(url))
                yield url
            finally:
                process.terminate()


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_everything_works(database: str, mode: str) -> None:
    """Also where the database has transactions fail that meet others."""
    with psycopg.connect(database) as connection:
        name = sql.Identifier(connection.info.dbname)
        isolation = "alter database {} set default_transaction_isolation to serializable"
        connection.execute(sql.SQL(isolation).format(name))
    with (
        pgbouncer(database, mode, 2 if mode == "transaction" else 20) as url,
        running_collector(url) as collector,
        httpx.Client(base_url=collector.url, timeout=60) as client,
    ):
        # More often than psycopg takes to prepare a statement, and all at once.
        for number in range(12):
            user = {"userId": number, "email": f"{number}@example.com", "ficoScore": 700}
            assert client.post("/users", json=user).status_code == 201
            assert client.get(f"/users/{number}").status_code == 200
            assert len(client.get("/users").json()) == number + 1
        with ThreadPoolExecutor(8) as together:
            same = together.map(lambda _: client.post("/users", json=user).status_code, range(100))
            assert set(same) <= {200, 429}  # the latter where too much waits
        bodies = [event(eventId=f"e-{n}") for n in range(200)]
        found = post_at_once(collector.url, [*bodies, *POISON, [event(eventId="e-x"), {}]])
        assert sorted({status for status, _ in found}) == [200, 422]
        batch = [{"type": "identify", "userId": "u", "messageId": f"m-{n}"} for n in range(20)]
        assert client.post("/v1/batch", json={"batch": batch}).json()["accepted"] == 20
        count = "select count(*), count(distinct event_id) from raw.events where event_id ~ '^e-'"
        assert rows_of(database, count) == [(201, 201)]
        assert rows_of(database, "select count(*) from raw.rejected_events") == [(3,)]
        assert client.get("/readyz").json() == {"status": "ready"}
        # Keys are seen, and one of an outage is told from a client's fault, as everywhere.
        key = make_key(database, "shop", "write")
        wait_until(lambda: client.post("/events", json=event()).status_code == 401)
        assert client.post("/events", json=event(), headers=bearer(key)).status_code == 200
        with closing(psycopg.connect(database)) as blocker:
            blocker.execute("lock table raw.events")
            refused = client.post("/events", json=event(eventId="late"), headers=bearer(key))
            assert_problem(refused, 503, "storage_stuck")
        assert rows_of(database, "select from raw.events where event_id = 'late'") == []
        assert "Traceback" not in collector.log.read_text()
        assert "rights of the login role" not in collector.log.read_text()


def test_strangers_get_nothing_of_its_sessions(database: str) -> None:
    """Who has the server connections next has its own role and settings, and no statements."""
    shown = """
        select
            current_user::text, current_setting('statement_timeout'),
            current_setting('lock_timeout'), (select count(*) from pg_prepared_statements)
    """
    with pgbouncer(database, "transaction", 2) as url, running_collector(url) as collector:
        user = conninfo_to_dict(database)["user"]
        with httpx.Client(base_url=collector.url) as client:
            for number in range(40):
                assert client.post("/events", json=event()).status_code == 200
                assert client.get("/users").status_code == 200
                if number % 4 == 0:
                    assert rows_of(url, shown) == [(user, "0", "0", 0)]
        # All of it went through the two connections that strangers had too.
        held = (
            "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and datname = %s"
        )
        assert rows_of(database, held, conninfo_to_dict(database)["dbname"])[0][0] <= 2


@pytest.mark.parametrize("command", ["migrate", "dbt run"])
def test_what_needs_sessions_says_so(database: str, tmp_path: Path, command: str) -> None:
    script, *arguments = command.split()
    with pgbouncer(database, "transaction", 2) as url:
        finished = subprocess.run(
            [ROOT / "scripts" / script, *arguments],
            env={"PATH": os.environ["PATH"], "DATABASE_URL": url, "HEADWATER_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 1
    [line] = finished.stderr.splitlines()
    assert "behind a pooler" in line
    assert "_DATABASE_URL to the URL of PostgreSQL itself" in line
