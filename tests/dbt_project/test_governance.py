"""Who owns, who may use and who may read what dbt builds, and where personal data goes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from scripts.lib.report import raw_lag
from scripts.lib.site.build import FILES, TITLES
from scripts.lib.site.warehouse import ON_ALL_PAGES, PAGES
from tests.support.warehouse import MARTS, Warehouse, land, page_view

# Names that columns with personal data go by, wherever they are.
TELLING = re.compile(
    r"email|score(?!_source|_count|_key)|band$|^(inner|outer)_pad$|^payload$|activity"
)


@pytest.fixture(scope="module")
def manifest(parsed_project: Path) -> dict[str, Any]:
    """What dbt knows of the project."""
    manifest: dict[str, Any] = json.loads((parsed_project / "target/manifest.json").read_text())
    return manifest


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }


def test_marts_and_reports_are_public_and_nothing_below_them(
    models: dict[str, dict[str, Any]],
) -> None:
    reports = {name for name, model in models.items() if model["schema"] == "reports"}
    public = {name for name, model in models.items() if model["access"] == "public"}
    assert public == {*MARTS, *reports}
    assert {model["access"] for model in models.values()} == {"private", "protected", "public"}


def test_every_model_has_a_group_and_its_owner(
    manifest: dict[str, Any], models: dict[str, dict[str, Any]]
) -> None:
    owners = {group["name"]: group["owner"]["email"] for group in manifest["groups"].values()}
    assert set(owners) == {"core", "conversion", "tasks", "credit"}
    assert all(email.endswith("@example.com") for email in owners.values())
    for name, model in models.items():
        if name in MARTS:
            assert model["fqn"][1] == model["group"], name
            assert model["config"]["meta"]["owner"] == owners[model["group"]], name
        assert model["config"]["meta"]["owner"] in owners.values(), name


def test_exposures_are_the_pages_of_the_site_and_the_report_with_what_each_reads(
    manifest: dict[str, Any], models: dict[str, dict[str, Any]]
) -> None:
    exposures = {
        exposure["name"]: {parent.split(".")[-1] for parent in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }
    of_all_pages = {"rpt_totals", "rpt_rates"}
    pages = {
        f"site_{page}": {f"rpt_{name}" for name in views | ON_ALL_PAGES} | of_all_pages
        for page, views in PAGES.items()
    }
    pages["site_health"] |= {"rpt_events_daily", "rpt_source_freshness"}
    commands = {
        name: set().union(*(re.findall(r"\b(rpt_\w+)", file.read_text()) for file in files))
        for name, files in {
            "terminal_report": [ROOT / "scripts/lib/report.py"],
            "status": (ROOT / "scripts/lib/status").glob("*.py"),
        }.items()
    }
    assert exposures == pages | commands
    labels = {e["name"]: e["label"] for e in manifest["exposures"].values()}
    assert {name: label for name, label in labels.items() if name in pages} == {
        f"site_{page}": f"Insights site, {title}" for page, title in TITLES.items()
    }
    for exposure in manifest["exposures"].values():
        if exposure["name"] in pages:
            file = FILES[exposure["name"].removeprefix("site_")]
            assert f"`{file}` of `scripts/site`" in exposure["description"]
    reports = {name for name, model in models.items() if model["schema"] == "reports"}
    assert set.union(*exposures.values()) == reports - {"rpt_metrics_daily"}  # of alerts alone


def columns(manifest: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], dict[str, str]]]:
    """Layer, table, column and the column's declaration, for all tables but seeds."""
    tables = [
        *manifest["sources"].values(),
        *(node for node in manifest["nodes"].values() if node["resource_type"] == "model"),
    ]
    for table in tables:
        layer = "raw" if table["resource_type"] == "source" else table["fqn"][-2]
        for column in table["columns"].values():
            yield layer, table["name"], column, column["config"].get("meta", {})


def test_personal_data_is_declared_wherever_it_is(manifest: dict[str, Any]) -> None:
    declared = {
        (table, column["name"]): meta
        for _, table, column, meta in columns(manifest)
        if "pii_class" in meta
    }
    assert {meta["pii_class"] for meta in declared.values()} == {
        "direct_identifier",
        "financial",
        "secret",
    }
    # A name that is personal in one table is so in all, and some names tell by themselves.
    names = {name for _, name in declared} - {"segment_value", "on_time_rate"}
    names -= {"payments_made", "payments_missed"}  # of a user; counts of a day are nobody's
    missing = {
        (table, column["name"])
        for _, table, column, meta in columns(manifest)
        if (column["name"] in names or TELLING.search(column["name"]))
        and "pii_class" not in meta
        and not table.endswith("_daily")
        and not table.startswith("rpt_")  # counts, of nobody in particular
    }
    assert missing == {
        ("stg_users", "is_score_invalid"),
        ("int_users__updates", "is_score_invalid"),
    }


def test_nobody_can_be_identified_by_a_mart(manifest: dict[str, Any]) -> None:
    in_marts = {
        (table, column["name"]): meta
        for layer, table, column, meta in columns(manifest)
        if layer == "marts" and "pii_class" in meta
    }
    unmasked = {
        place: meta["pii_class"] for place, meta in in_marts.items() if "masking" not in meta
    }
    assert set(unmasked.values()) == {"financial"}
    assert {
        place: meta["masking"]
        for place, meta in in_marts.items()
        if meta["pii_class"] == "direct_identifier"
    } == {("dim_users", "email_hash"): "keyed_hash"}
    assert {meta.get("masking") for meta in in_marts.values()} == {
        None,
        "keyed_hash",
        "left_out",
        "score_band",
    }


def test_what_the_plan_says_identifies_leaves_the_marts(warehouse: Warehouse) -> None:
    """With the next ordinary build, also from events of before; other events keep the property."""
    activity = {"email": "ada@example.com", "path": {"email": "kept"}}
    for event_type in ("page_viewed", "screen_viewed"):
        event = {"eventId": event_type, "eventType": event_type, "userId": 1, "activity": activity}
        warehouse.land(event)
    score = {"ficoScore": 812, "bureau": "x"}
    scored = {"eventId": "s", "eventType": "credit_score_updated", "userId": 1, "activity": score}
    warehouse.land(scored)
    activities = (
        "select event_type, activity from marts.fct_events"
        " where event_type like '%viewed' order by 1"
    )
    marts = ("--select", "+fct_event_attributes", "+int_credit_reports", "fct_events")
    warehouse.run(*marts)
    assert warehouse.query(activities) == [("page_viewed", activity), ("screen_viewed", activity)]
    # A score is for the marts about credit.
    assert warehouse.query("select score from intermediate.int_credit_reports") == [(812,)]
    assert warehouse.query(
        "select activity from marts.fct_events where event_type = 'credit_score_updated'"
    ) == [({"bureau": "x"},)]
    assert warehouse.query(
        "select property, numeric_value, violation from marts.fct_event_attributes"
        " where event_type = 'credit_score_updated' order by 1"
    ) == [("bureau", None, None), ("ficoScore", None, None)]

    identifying = {"data_type": "text", "is_required": "false", "pii_class": "direct_identifier"}
    planned = {"event_type": "page_viewed", "property": "email", "description": "Address"}
    plan = warehouse.seed("event_properties")
    warehouse.set_seed("event_properties", [*plan, planned | identifying])
    warehouse.run(*marts)
    masked = {"path": activity["path"]}
    assert warehouse.query(activities) == [("page_viewed", masked), ("screen_viewed", activity)]


def test_failing_rows_are_there_to_see(warehouse: Warehouse) -> None:
    warehouse.land(*generate(users=5, seed=1).events)
    warehouse.run("--select", "+fct_events")
    [(lost,)] = warehouse.query(
        "delete from marts.fct_events where event_key = (select min(event_key) from"
        " marts.fct_events) returning event_key"
    )
    test = ("test", "--select", "every_usable_event_is_in_fct_events")
    failed = warehouse.try_dbt(*test)

    assert failed.returncode == 1
    assert '"failing_rows"."every_usable_event_is_in_fct_events"' in failed.stdout
    rows = "select event_key from failing_rows.every_usable_event_is_in_fct_events"
    assert warehouse.query(rows) == [(lost,)]


def reported_lag(warehouse: Warehouse) -> str:
    with closing(psycopg.connect(warehouse.database_url, row_factory=dict_row)) as connection:
        connection.execute("set search_path to staging")
        return raw_lag(connection)


def test_lag_is_a_warning_that_names_its_holder(warehouse: Warehouse) -> None:
    view = {"eventType": "page_viewed", "userId": 1, "activity": {"path": "/"}}
    with closing(psycopg.connect(warehouse.database_url)) as slow:
        land(slow, [view | {"eventId": "held"}])
        warehouse.land(view | {"eventId": "behind"})
        warehouse.run("--select", "+stg_raw_lag")
        printed = warehouse.dbt("test", "--select", "raw_is_read_to_its_end")
        assert "WARN=1 ERROR=0" in printed
        assert warehouse.query(
            """
            select raw_table, unread_rows, holder_pid, holder_database, holder_opened_at is not null
            from failing_rows.raw_is_read_to_its_end
            """
        ) == [("raw.events", 1, slow.info.backend_pid, slow.info.dbname, True)]
        holder = f"backend {slow.info.backend_pid} in database {slow.info.dbname}, open for 00:0"
        assert f"1 of them wait for {holder}" in reported_lag(warehouse)
    assert "1 rows of raw.events are not built yet" in reported_lag(warehouse)
    assert reported_lag(warehouse).endswith(": run scripts/dbt build.")
    warehouse.run("--select", "+stg_raw_lag")
    assert reported_lag(warehouse) == "Every row that landed is built."
    assert "WARN=0 ERROR=0" in warehouse.dbt("test", "--select", "raw_is_read_to_its_end")


def test_emails_as_user_ids_become_hashes_when_the_owner_says_so(warehouse: Warehouse) -> None:
    """Also of events that raw no longer has; ids that look like a hash are told from one."""
    ids = "select user_id, event_count from marts.dim_users order by 1"
    looks = f"email:{'0' * 64}"
    warehouse.execute("update secret.email_hash_key set hashes_user_ids = false")
    warehouse.land(
        page_view("1", "Ann@example.com"), page_view("2", " ann@example.com"), page_view("3", looks)
    )
    warehouse.run("--select", "+dim_users")
    assert {user for user, _ in warehouse.query(ids)} == {
        "Ann@example.com", " ann@example.com", f"~{looks}",
    }  # fmt: skip
    warehouse.execute("update secret.email_hash_key set hashes_user_ids = true")
    warehouse.execute("delete from raw.events where event_id = '1'")
    warehouse.run("--select", "+dim_users")
    [hashed, other] = warehouse.query(ids)
    [(expected,)] = warehouse.query("select secret.user_id_in_marts('ann@example.com')")
    assert (hashed, other) == ((expected, 2), (f"~{looks}", 1))
    assert expected.startswith("email:")


def test_broken_tracking_plan_is_a_warning(warehouse: Warehouse) -> None:
    warehouse.land({"eventId": "x", "eventType": "page_viewed", "userId": 1, "activity": {}})
    warehouse.run("--select", "+tracking_plan_violations")
    printed = warehouse.dbt(
        "test", "--select", "events_keep_to_the_tracking_plan", as_of="2026-10-20 00:00:00+00"
    )
    assert "WARN=1 ERROR=0" in printed
    printed = warehouse.dbt(
        "test", "--select", "events_keep_to_the_tracking_plan", as_of="2026-12-20 00:00:00+00"
    )
    assert "WARN=0 ERROR=0" in printed


def test_a_warning_of_dbt_itself_stays_an_error(warehouse: Warehouse) -> None:
    models = warehouse.project / "models"
    (models / "unknown.yml").write_text("models: [{name: no_such_model, description: None.}]")
    failed = warehouse.try_dbt("parse")
    assert failed.returncode != 0
    assert "no_such_model" in failed.stdout


def test_private_model_has_readers_in_its_group_only(warehouse: Warehouse) -> None:
    (warehouse.project / "models/core/marts/spying.sql").write_text(
        "select * from {{ ref('int_payments__by_user') }}"
    )
    failed = warehouse.try_dbt("parse", "--no-partial-parse")
    assert failed.returncode != 0
    assert "int_payments__by_user" in failed.stdout
    assert "private" in failed.stdout
