"""scripts/keys: create, list and revoke."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from collector.settings import ROOT
from tests.support.api import bearer, event
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


def test_snippets_send_an_event(database: str, tmp_path: Path) -> None:
    with running_collector(database) as collector:
        options = ("--scope", "write", "--snippet", "--url", collector.url)
        made = keys(database, "create", "a", *options)
        key = made.stdout.splitlines()[0]
        whose = f"{collector.url}/key"
        wait_until(lambda: httpx.get(whose, headers=bearer(key)).json().get("source") == "a")
        snippets = re.findall(r"^```(\w+)\n(.*?)^```$", made.stdout, re.DOTALL | re.MULTILINE)
        programs = {
            "sh": ["sh"],
            "python": [sys.executable],
            "js": ["node"],
            "php": ["php"],
            "go": ["go", "run"],
        }
        assert [language for language, _ in snippets] == list(programs)
        ran = 0
        for language, text in snippets:
            assert f"Bearer {key}" in text
            assert f"{collector.url}/events" in text
            if not shutil.which(programs[language][0]):
                continue
            file = tmp_path / f"snippet.{language}"
            file.write_text(text)
            answer = subprocess.run(
                [*programs[language], file], capture_output=True, text=True, check=True
            )
            assert json.loads(answer.stdout)["accepted"] == 1, answer
            ran += 1
        assert ran >= 2
        assert collector.query("select count(*) from raw.events where source = 'a'") == [(ran,)]
    refused = keys(database, "create", "b", "--scope", "read", "--snippet")
    assert (refused.returncode, "--scope write" in refused.stderr) == (2, True)


def test_errors_say_what_to_do(database: str) -> None:
    unknown = keys(database, "revoke", "nobody")
    assert unknown.returncode == 1
    assert "no key to revoke is called nobody" in unknown.stderr
    for name in ("", "x" * 129, "a\nb"):
        bad = keys(database, "create", name, "--scope", "read")
        assert bad.returncode == 1
        assert "1 to 128 printable characters" in bad.stderr
    assert keys(database, "create", "x").returncode == 2
