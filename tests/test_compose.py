"""The container files, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from collector.settings import ROOT
from scripts.lib.base.settings import SETTINGS
from tests.support.collector import Collector

COMPOSE = ROOT / "docker-compose.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
OWN = sorted(name for name, service in SERVICES.items() if service["image"] == "headwater")
# Beside the settings: libpq's password, and where dbt writes.
OTHER_VARIABLES = {"PGPASSWORD", "DBT_LOG_PATH", "DBT_TARGET_PATH"}


def schema_errors(path: Path, schema: str) -> str:
    """What check-jsonschema finds wrong in a file; nothing if it is valid."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", schema, str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout + finished.stderr if finished.returncode else ""


@pytest.mark.parametrize(
    ("path", "schema"),
    [(COMPOSE, "vendor.compose-spec"), *((path, "vendor.github-workflows") for path in WORKFLOWS)],
    ids=lambda each: getattr(each, "name", None),
)
def test_schema(path: Path, schema: str) -> None:
    assert schema_errors(path, schema) == ""


def test_wrong_key_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:", 1))
    assert "depend_on" in schema_errors(copy, "vendor.compose-spec")


def profile(name: str) -> dict[str, dict[str, Any]]:
    """The services of a topology."""
    return {key: service for key, service in SERVICES.items() if service["profiles"] == [name]}


def test_services() -> None:
    both = ["collector", "schedule", "site"]
    assert sorted(profile("single")) == sorted([*both, "migrate", "postgres"])
    separate = [
        *(f"separate-{name}" for name in both),
        "destination",
        "link",
        "separate-check",
        "source",
    ]
    assert sorted(profile("separate")) == sorted(separate)
    assert [name for name in OWN if "build" in SERVICES[name]] == ["link", "migrate"]


@pytest.mark.parametrize("name", OWN)
def test_a_topology_needs_nothing_of_the_other(name: str) -> None:
    service = SERVICES[name]
    [topology] = service["profiles"]
    hosts = {
        urlsplit(value).hostname
        for variable, value in service["environment"].items()
        if variable.endswith("DATABASE_URL")
    }
    assert hosts
    assert {*hosts, *service["depends_on"]} <= set(profile(topology))


@pytest.mark.parametrize("name", OWN)
def test_what_a_service_waits_for_comes(name: str) -> None:
    conditions = {key: value["condition"] for key, value in SERVICES[name]["depends_on"].items()}
    assert conditions
    for other, condition in conditions.items():
        if condition == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert condition == "service_completed_successfully"
            assert "restart" not in SERVICES[other]


@pytest.mark.parametrize("name", OWN)
def test_commands_are_scripts(name: str) -> None:
    scripts = re.findall(r"scripts/\w+", " ".join(SERVICES[name]["command"]))
    assert len(scripts) == 1
    assert os.access(ROOT / scripts[0], os.X_OK)


def test_variables_are_settings() -> None:
    variables = {variable for name in OWN for variable in SERVICES[name]["environment"]}
    [environment] = re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    variables |= set(re.findall(r"(\w+)=", environment))
    assert variables - OTHER_VARIABLES - {name for name, *_ in SETTINGS} == set()


@pytest.mark.parametrize("name", ["single", "separate"])
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    ports = [port for service in profile(name).values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:3000:3000", "127.0.0.1:8080:8080"]


def test_image_health_check(collector: Collector) -> None:
    [command] = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.*)$", DOCKERFILE, re.MULTILINE)
    port = str(urlsplit(collector.url).port)

    def status(port: str) -> int:
        environment = {"PATH": os.environ["PATH"], "PORT": port}
        check = subprocess.run(
            json.loads(command), env=environment, check=False, capture_output=True
        )
        return check.returncode

    assert status(port) == 0
    assert status("1") == 1


def pinned(file: str) -> dict[str, str]:
    """The pins of a lock file, with hashes, by the name of the package.

    Without markers: what a further package needs can be needed in more places.
    """
    text = re.sub(r" ; .*(?= \\$)", "", (ROOT / file).read_text(), flags=re.MULTILINE)
    blocks = re.split(r"\n(?=\S)", text)
    return {block.partition("==")[0]: block.strip() for block in blocks if "==" in block}


def test_image_holds_no_more_than_what_runs() -> None:
    """Its packages are those of the project, in the versions under test, without `dev`'s."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        found = (re.match(r"[\w-]+", each) for each in requirements)
        return {match[0].lower() for match in found if match}

    image, tested = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert names(project["dependencies"] + extras["semantic"]) <= image.keys()
    # jsonschema and psutil come with dbt and the embedded PostgreSQL.
    assert names(extras["dev"]) & image.keys() == {"jsonschema", "psutil"}
    assert image == {name: tested[name] for name in image}
    assert "COPY requirements.lock requirements-uv.lock ./\n" in DOCKERFILE


def test_image_holds_what_runs(database: str, tmp_path: Path) -> None:
    """The files that .dockerignore lets through suffice for the collector's schema and dbt."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
                shutil.copytree(source, tmp_path / line[1:], ignore=ignored)
            else:
                shutil.copy(source, tmp_path)
    for module, *arguments in (
        ["scripts.lib.migrate"],
        ["scripts.lib.serve", "--help"],
        ["scripts.lib.dbt.run", "parse"],
    ):
        finished = subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "DATABASE_URL": database},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
