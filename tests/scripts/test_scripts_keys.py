"""scripts/keys: create, list and revoke."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from collector.settings import ROOT
from tests.support.api import bearer, event
from tests.support.collector import Collector, running_collector, wait_until

PROGRAMS = {
    "sh": ["sh"],
    "python": [sys.executable],
    "js": ["node"],
    "php": ["php"],
    "go": ["go", "run"],
}


def keys(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "keys", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=False,
    )


def test_long_names_are_listed_whole(database: str) -> None:
    name = "[bold]" + "x" * 100
    assert keys(database, "create", name, "--scope", "read").returncode == 0
    assert f" {name} " in keys(database, "list").stdout


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


@pytest.fixture(scope="module")
def snippets(
    create_database: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[Collector, Mapping[str, str]]]:
    """A collector, and what `scripts/keys` prints for it, by language."""
    with create_database() as database, running_collector(database) as collector:
        options = ("--scope", "write", "--snippet", "--url", collector.url)
        made = keys(database, "create", "a", *options)
        key = made.stdout.splitlines()[0]
        whose = f"{collector.url}/key"
        wait_until(lambda: httpx.get(whose, headers=bearer(key)).json().get("source") == "a")
        found = re.findall(r"^```(\w+)\n(.*?)^```$", made.stdout, re.DOTALL | re.MULTILINE)
        yield collector, dict(found)


def test_snippets_are_of_five_languages(snippets: tuple[Collector, Mapping[str, str]]) -> None:
    assert list(snippets[1]) == list(PROGRAMS)


@pytest.mark.parametrize("language", PROGRAMS)
def test_snippet_sends_an_event(
    snippets: tuple[Collector, Mapping[str, str]], language: str, tmp_path: Path
) -> None:
    program = PROGRAMS[language]
    if not shutil.which(program[0]):
        pytest.skip(f"no {program[0]}")
    collector, texts = snippets
    sent = "select payload ->> 'eventId' from raw.events where source = 'a'"
    before = collector.query(sent)
    file = tmp_path / f"snippet.{language}"
    file.write_text(texts[language])
    ran = subprocess.run([*program, file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert (answer["accepted"], answer["rejected"]) == (1, []), answer
    sent_ids = [event_id for (event_id,) in collector.query(sent)]
    # Each brings an id of its own, so that what is sent again counts once.
    assert len(sent_ids) == len(before) + 1
    assert all(len(event_id or "") >= 32 for event_id in sent_ids)
    assert len(set(sent_ids)) == len(sent_ids)


def test_snippets_are_for_keys_that_send(database: str) -> None:
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
