"""What docs/deploy holds for machines that run Headwater: each file against what reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from collector.settings import ROOT
from scripts.lib.base.settings import SETTINGS
from scripts.lib.status.builds import Status
from scripts.lib.status.metrics import write_metrics

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS = sorted((DEPLOY / "kubernetes").iterdir())
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in (DEPLOY / "grafana").glob("*.json")
}
DASHBOARD = DASHBOARDS["dashboard"]
# Where docs/deploy/README.md installs Headwater.
INSTALLED = "/srv/headwater"


def checked(*command: str | Path) -> str:
    """What a program says against a file; nothing where it is content."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout + finished.stderr if finished.returncode else ""


def documents(folder: str) -> Iterator[dict[str, Any]]:
    """The documents of the manifests."""
    for path in sorted((DEPLOY / folder).iterdir()):
        yield from yaml.safe_load_all(path.read_text())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace(INSTALLED, str(ROOT)))
    units = sorted(tmp_path.iterdir())
    assert checked("systemd-analyze", "verify", *units) == ""
    units[0].write_text(units[0].read_text().replace("scripts/dbt", "scripts/dbx"))
    assert "scripts/dbx is not executable" in checked("systemd-analyze", "verify", *units)


def test_units_and_crontab_run_scripts() -> None:
    text = "".join(path.read_text() for path in [*UNITS, DEPLOY / "crontab"])
    scripts = re.findall(rf"{INSTALLED}/(scripts/\w+)", text)
    named = {"serve", "dbt", "status", "link", "export"}
    assert {f"scripts/{name}" for name in named} == set(scripts)
    assert all((ROOT / script).is_file() for script in scripts)


def test_kubernetes_takes_the_manifests() -> None:
    program = Path(sys.executable).with_name("kubernetes-validate")
    assert checked(program, "--strict", "-k", "1.30", *MANIFESTS) == ""


def test_pods_run_scripts_without_rights_and_without_secrets_in_the_text() -> None:
    containers = []
    for document in documents("kubernetes"):
        template = document["spec"].get("jobTemplate", document)["spec"].get("template")
        if template:
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            containers += pod["containers"]
    assert len(containers) == 5
    for container in containers:
        assert (ROOT / container["args"][0]).is_file()
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["envFrom"] == [{"secretRef": {"name": "headwater"}}]


def test_pods_run_as_the_user_of_the_image() -> None:
    [uid] = re.findall(r"useradd .*--uid (\d+)", (ROOT / "Dockerfile").read_text())
    users = re.findall(r"runAsUser: (\d+)", "".join(path.read_text() for path in MANIFESTS))
    assert set(users) == {uid}


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Prometheus")
def test_alerts_fire_when_they_should() -> None:
    assert checked("promtool", "check", "config", DEPLOY / "prometheus" / "scrape.yml") == ""
    assert checked("promtool", "test", "rules", DEPLOY / "prometheus" / "alerts_test.yml") == ""


def test_every_alert_has_a_case_in_which_it_does_not_fire() -> None:
    rules = [rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]]
    tests = yaml.safe_load((ALERTS.with_name("alerts_test.yml")).read_text())["tests"]
    assert [case["alertname"] for case in tests[0]["alert_rule_test"]] == rules


def expressions() -> list[str]:
    """The queries of the dashboard, as Prometheus gets them."""
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [expression.replace("$__rate_interval", "5m") for expression in targets]


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Prometheus")
def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert checked("promtool", "check", "rules", file) == ""


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(
    client: httpx.Client, tmp_path: Path
) -> None:
    known = client.get("/metrics").text
    file = tmp_path / "headwater.prom"
    status = Status("ok", "", "", datetime.now(UTC), 0, (("raw.events", 1, 0.5),), {"here": 12})
    write_metrics(str(file), status)
    known += file.read_text()
    asked = set(re.findall(r"\b(?:headwater|process)_\w+", ALERTS.read_text() + str(expressions())))
    there = set(re.findall(r"^# TYPE (\S+)", known, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in asked} - there == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_panels_do_not_cover_each_other(dashboard: str) -> None:
    cells = [
        (x, y)
        for panel in DASHBOARDS[dashboard]["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24  # Grafana's grid


def test_dashboard_of_the_marts_asks_for_the_data_source_that_is_provisioned() -> None:
    [source] = yaml.safe_load((DEPLOY / "grafana" / "datasource.yml").read_text())["datasources"]
    marts = DASHBOARDS["marts"]
    [variable] = marts["templating"]["list"]
    asked = {target["datasource"]["type"] for each in marts["panels"] for target in each["targets"]}
    assert {variable["query"], *asked} == {source["type"]}
    assert source["secureJsonData"]["password"].startswith("$")


def test_variables_of_the_deployments_are_settings() -> None:
    text = "".join(path.read_text() for path in [*UNITS, DEPLOY / "crontab", DEPLOY / "README.md"])
    variables = set(re.findall(r"\b([A-Z][A-Z_]+)=", text))
    of_others = {"PGPASSWORD", "DBT_LOG_PATH", "DBT_TARGET_PATH", "UV_COMPILE_BYTECODE"}
    assert variables - of_others - {name for name, *_ in SETTINGS} == set()
