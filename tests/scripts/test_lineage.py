"""The lineage of columns: each one of a mart back to the properties of raw that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from scripts.lib.dbt.lineage import Lineage, relation, said
from scripts.lib.dbt.origins import ROWS, Place, Query, Tables
from tests.support.warehouse import MARTS, Warehouse

TABLES = Tables(
    {"raw.events": ["id", "source", "payload"], "seeds.bands": ["band", "least"]},
    frozenset({"seeds.bands"}),
)


def origins(sql: str, column: str, *path: str) -> set[str]:
    """The origins of a column of a query of `TABLES`, as text."""
    return {str(place) for place in Query(sql, TABLES).origins(column, path)}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select payload -> 'a' ->> 'b' as c from raw.events", {"raw.events.payload.a.b"}),
        ("select length(payload ->> 'b') as c from raw.events", {"raw.events.payload.b"}),
        (
            "with e as (select payload -> 'a' as a from raw.events)"
            " select b from e, lateral (select e.a ->> 'x' as c) as inner_query (b)",
            {"raw.events.payload.a.x"},
        ),
        (
            "select jsonb_build_object('x', source, 'y', payload -> 'z') -> 'y' as c"
            " from raw.events",
            {"raw.events.payload.z"},
        ),
        (
            "select case when source = 'a' then payload ->> 'b' end as c from raw.events",
            {"raw.events.payload.b"},
        ),
        ("select case when source = 'a' then 1 end as c from raw.events", {"raw.events.source"}),
        (
            "select (array_agg(payload ->> 'b' order by id) filter (where source = 'a'))[1] as c"
            " from raw.events",
            {"raw.events.payload.b"},
        ),
        (
            "select percentile_cont(0.5) within group (order by (payload -> 'b')::int) as c"
            " from raw.events",
            {"raw.events.payload.b"},
        ),
        ("select count(*) as c from raw.events group by source", {"rows of raw.events"}),
        (
            "select count(*) filter (where source = 'a') as c from raw.events",
            {"raw.events.source"},
        ),
        (
            "select bands.band as c from raw.events"
            " left join seeds.bands on (payload ->> 'score')::int >= bands.least",
            {"seeds.bands.band", "raw.events.payload.score"},
        ),
        (
            "with recursive r as (select id, source from raw.events union all"
            " select r.id + 1, r.source from r where r.id < 9) select source as c from r",
            {"raw.events.source"},
        ),
        (
            "with recursive r as (select id as a, payload -> 'x' as b from raw.events union all"
            " select r.b, r.a from r) select b as c from r",
            {"raw.events.id", "raw.events.payload.x"},
        ),
        (
            "select (select max(e.id) from raw.events as e where e.source = f.source) as c"
            " from raw.events as f",
            {"raw.events.id"},
        ),
        (
            "select sum(change) as c from (select f.*, noted.change from staging.noted"
            ' cross join jsonb_populate_record(null::"raw"."events", noted.row) as f) as changes',
            {"rows of raw.events"},
        ),
        ("select 1 as c", set()),
    ],
)
def test_origins_of_a_column(sql: str, expected: set[str]) -> None:
    [column] = Query(sql, TABLES).columns
    assert origins(sql, column) == expected


def test_property_is_followed_through_what_holds_it() -> None:
    sql = """
        with events as (select payload -> 'activity' as activity, source from raw.events)
        select activity || jsonb_build_object('source', source) as merged from events
    """
    assert origins(sql, "merged", "path") == {"raw.events.payload.activity.path"}
    assert origins(sql, "merged", "source") == {
        "raw.events.payload.activity.source",
        "raw.events.source",
    }


@pytest.fixture(scope="module")
def lineage(create_warehouse: Callable[[], AbstractContextManager[Warehouse]]) -> Lineage:
    """That of the project, by the SQL that dbt compiles for a database without a table."""
    with create_warehouse() as warehouse:
        warehouse.dbt("compile", "--exclude", "resource_type:test", "resource_type:unit_test")
        manifest = warehouse.manifest()
        compiled = warehouse.project / "target/compiled/headwater/models"
        for node in manifest["nodes"].values():
            if node["resource_type"] == "model":
                node["compiled_code"] = (compiled / node["path"]).read_text()
    return Lineage(manifest)


def test_every_model_is_read_with_the_columns_that_it_declares(lineage: Lineage) -> None:
    models = {n: m for n, m in lineage.relations.items() if m["resource_type"] == "model"}
    assert len(models) > len(MARTS)
    for name, model in models.items():
        assert sorted(lineage.query(name).columns) == sorted(model["columns"]), name


def test_every_column_of_a_mart_begins_in_raw_or_a_seed(lineage: Lineage) -> None:
    begin = ("raw.", "seeds.", "secret.", "rows of raw.", "rows of seeds.")
    marts = [m for m in lineage.relations.values() if m["name"] in MARTS]
    places = [Place(relation(mart), column) for mart in marts for column in mart["columns"]]
    assert len(places) > 200
    constant = {str(place) for place in places if not lineage.roots(place)}
    assert constant == {"marts.fct_credit_scores.score_source"}
    for place in places:
        roots = lineage.roots(place)
        assert all(str(root).startswith(begin) for root in roots), place


def test_numbers_go_back_to_the_properties_that_applications_send(lineage: Lineage) -> None:
    def roots(mart: str, column: str) -> set[str]:
        return {str(root) for root in lineage.roots(Place(f"marts.{mart}", column))}

    scores = {"raw.events.payload.activity.ficoScore", "raw.users.payload.ficoScore"}
    assert roots("fct_credit_scores", "score") == scores
    assert roots("dim_users", "score_band") == {"seeds.score_bands.band", *scores}
    assert "raw.events.payload.activity.device" in roots("fct_sessions", "device")
    assert roots("fct_tasks", "assignee") >= {"raw.events.payload.activity.assignee"}
    assert roots("fct_events", "event_type") == {"raw.events.payload.eventType"}
    assert roots("dim_users", "event_count") == {"rows of raw.events"}
    assert roots("dim_users", "email_hash") == {
        "raw.users.payload.email",
        "secret.email_hash_key.inner_pad",
        "secret.email_hash_key.outer_pad",
    }
    assert {str(p) for p in lineage.parents(Place("marts.dim_users", "event_count"))} == {
        "rows of marts.fct_events"
    }
    assert Place("raw.events", ROWS) in lineage.roots(Place("marts.fct_sessions", "event_count"))


def test_every_metric_has_a_formula_and_begins_in_raw(lineage: Lineage) -> None:
    metrics = said(lineage.manifest)["metrics"]
    assert set(metrics) == {each["name"] for each in lineage.manifest["metrics"].values()}
    for name, metric in metrics.items():
        assert any("raw." in place for place in metric["begins"]), name
    assert metrics["attempts"]["formula"] == "count(progress_key) from fct_funnel_progress"
    assert metrics["on_time_rate"]["formula"] == "payments_made / payments_due"
    assert metrics["on_time_rate_in_band"]["formula"] == (
        "payments_made_in_band::numeric / nullif(payments_due_in_band, 0)"
    )
    assert metrics["on_time_rate_in_band"]["made_from"] == [
        "marts.credit_band_daily.payments_made",
        "marts.credit_band_daily.payments_missed",
    ]
    assert metrics["backlog"]["formula"].startswith("sum(backlog) on the last on_day")
