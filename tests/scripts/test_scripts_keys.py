"""scripts/keys: create, list and revoke."""

from __future__ import annotations

import os
import subprocess

import httpx

from collector.settings import ROOT
from tests.support.api import event
from tests.support.collector import running_collector, wait_until


def keys(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "keys", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_create_use_list_and_revoke(database: str) -> None:
    created = keys(database, "create", "web shop", "--scope", "write")
    assert created.returncode == 0, created.stderr
    key = created.stdout.strip()
    with running_collector(database) as collector:
        headers = {"Authorization": f"Bearer {key}"}

        def status() -> int:
            url = f"{collector.url}/events"
            return httpx.post(url, json=event(), headers=headers).status_code

        assert status() == 200
        listed = keys(database, "list").stdout
        assert "web shop" in listed
        assert "write" in listed
        assert key not in listed
        assert keys(database, "revoke", "web shop", "--dry-run").stdout == "Would revoke: 1\n"
        assert status() == 200
        assert keys(database, "revoke", "web shop").stdout == "Revoked: 1\n"
        wait_until(lambda: status() == 401)
        assert key not in collector.log.read_text()


def test_errors_say_what_to_do(database: str) -> None:
    unknown = keys(database, "revoke", "nobody")
    assert unknown.returncode == 1
    assert "no key to revoke is called nobody" in unknown.stderr
    for name in ("", "x" * 129, "a\nb"):
        bad = keys(database, "create", name, "--scope", "read")
        assert bad.returncode == 1
        assert "1 to 128 printable characters" in bad.stderr
    assert keys(database, "create", "x").returncode == 2
