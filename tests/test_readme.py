"""README, the reference and the overview of the dbt docs say what the code does."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from collector import __version__
from collector.app import create_app
from collector.registry import supported_event_types
from collector.settings import ROOT
from scripts.lib.base.settings import SETTINGS, Settings
from tests.support.collector import Collector

README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
DBT = ROOT / "dbt_project"
OVERVIEW = (DBT / "models" / "overview.md").read_text()
MARTS = sorted(path.stem for path in (DBT / "models").glob("*/marts/*.sql"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def table(text: str, first_column: str) -> list[list[str]]:
    """The cells of the table whose first column is called so, below the header."""
    lines = text[text.index(f"\n| {first_column} |") :].lstrip().splitlines()[2:]
    rows = takewhile(bool, lines)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)\n```$", README, re.DOTALL | re.MULTILINE)


def test_changelog_has_the_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[(\d[\d.]*)\] - \d{4}-\d\d-\d\d$", changes, re.MULTILINE)[0] == (
        __version__
    )


def test_settings() -> None:
    documented = [
        (name.strip("`"), "" if default == "unset" else default.strip("`"), meaning)
        for name, default, meaning in table(REFERENCE, "setting")
    ]
    assert sorted(documented) == sorted(SETTINGS)


def test_limits_are_the_defaults_of_settings() -> None:
    units = {"KiB": 2**10, "MiB": 2**20, "s": 1, "": 1}
    stated = re.findall(
        r"`([A-Z_]+)`, ([\d,]+) ?(KiB|MiB|s|)\b", (ROOT / "docs" / "operations.md").read_text()
    )
    defaults = {name: default for name, default, _ in SETTINGS}
    assert {name for name, *_ in stated} >= {name for name in defaults if name.startswith("MAX_")}
    for name, number, unit in stated:
        assert int(number.replace(",", "")) * units[unit] == int(defaults[name]), name


def test_routes() -> None:
    documented = [route.strip("`") for route, *_ in table(REFERENCE, "route")]
    app = create_app(Settings.from_environment({"DATABASE_URL": "postgresql://"}))
    routes = [
        f"{method} {route.path.replace(':path}', '}')}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    ]
    assert sorted(documented) == sorted(routes)


def test_scripts() -> None:
    documented = [script.strip("`") for script, _ in table(REFERENCE, "script")]
    scripts = [f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file()]
    assert sorted(documented) == sorted(scripts)


def test_marts() -> None:
    assert sorted(name.strip("`") for name, *_ in table(README, "mart")) == MARTS


def test_overview_has_the_same_marts() -> None:
    assert [row[1:] for row in table(OVERVIEW, "mart")] == [
        row[1:] for row in table(README, "mart")
    ]
    assert (
        sorted(re.findall(r"\[(\w+)\]", name)[0] for name, *_ in table(OVERVIEW, "mart")) == MARTS
    )


def test_links_of_the_overview_lead_somewhere() -> None:
    links = set(re.findall(r"\[(\w+)\]\(#!/(\w+)/\w+\.headwater\.([\w.]+)\)", OVERVIEW))
    assert len(links) > len(MARTS)
    assert len(re.findall(r"\]\(", OVERVIEW)) == len(re.findall(r"\]\(#!/", OVERVIEW))
    models = {path.stem for path in (DBT / "models").rglob("*.sql")}
    assert {name for _, kind, name in links if kind == "model"} <= models
    seeds = {path.stem for path in (DBT / "seeds").glob("*.csv")}
    assert {name for _, kind, name in links if kind == "seed"} == seeds
    assert {name for _, kind, name in links if kind == "source"} == {"raw.events", "raw.users"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_scripts(page: Path) -> None:
    named = set(
        re.findall(r"(?<!tests/)\bscripts/([a-z_]+(?:-[a-z]+)*)(?![\w/])", page.read_text())
    ) - {
        "lib",
        "mappings",
    }
    assert [name for name in sorted(named) if not (ROOT / "scripts" / name).is_file()] == []


def test_funnel_of_the_example_fits_the_seed() -> None:
    [example] = blocks("csv")
    header, *rows = list(csv.reader(example.splitlines()))
    assert header == next(csv.reader((DBT / "seeds" / "funnels.csv").read_text().splitlines()))
    assert {len(row) for row in rows} == {len(header)}
    assert {row[header.index("event_type")] for row in rows} <= supported_event_types()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_commands(collector: Collector) -> None:
    """The commands run as they stand, but for the port; the first two are the prototype's."""
    commands = [block for block in blocks("sh") if block.startswith("curl ")]
    create, *get = (shlex.split(text.replace("\\\n", "")) for text in commands[:2])
    url, content_type = "http://localhost:3000/users", "Content-Type: application/json"
    assert create[:-1] == ["curl", "-X", "POST", url, "-H", content_type, "-d"]
    john = {"email": "john.doe@example.com", "name": "John Doe", "ficoScore": 720}
    assert json.loads(create[-1]) == john
    assert get == [["curl", "-X", "GET", url]]
    answers = []
    for command in commands:
        here = command.replace(":3000", f":{urlsplit(collector.url).port}")
        shown = f"{here} --silent --show-error --write-out '\\n%{{http_code}}'"
        output = subprocess.run(["/bin/sh", "-c", shown], check=True, stdout=subprocess.PIPE).stdout
        body, status = output.rsplit(b"\n", 1)
        answers.append((int(status), json.loads(body)))
    assert answers[:2] == [(201, {"userId": 1, **john}), (200, [{"userId": 1, **john}])]
    assert answers[2] == (200, {"accepted": 1, "eventIds": ["7d1c4f0a"], "rejected": []})
