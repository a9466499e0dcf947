"""Metrics answer what SQL on the marts answers: `scripts/mf`."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from collector.settings import ROOT
from scripts.lib.base.database import libpq_environment
from scripts.lib.demo.generator import generate
from scripts.lib.site.build import TITLES
from tests.support.histories import funnel
from tests.support.warehouse import Warehouse

if TYPE_CHECKING:
    from metricflow.engine.metricflow_engine import MetricFlowEngine

pytest.importorskip("dbt_metricflow", reason="the optional extra `semantic` is not installed")

QUERIES = [
    (
        ("conversion_rate", "metric_time__week"),
        """
        select date_trunc('week', cohort_on::timestamp), avg(is_converted::integer)
        from marts.fct_funnel_progress where is_complete is not false group by 1
        """,
    ),
    (
        ("conversion_rate", "attempt__funnel"),
        """
        select funnel, sum(reached)::numeric / sum(entered)
        from marts.conversion_funnel_daily
        where segment = 'all' and is_complete is not false and (funnel, step_order) in (
            select funnel, max(step_order) from seeds.funnels group by 1
        )
        group by 1
        """,
    ),
    (
        ("conversion_rate", "attempt__score_band"),
        """
        select
            segment_value,
            sum(reached) filter (where (funnel, step_order) in (
                select funnel, max(step_order) from seeds.funnels group by 1
            )) / sum(reached) filter (where step_order = 1)
        from marts.conversion_funnel_daily
        where segment = 'band' and is_complete is not false
        group by 1
        """,
    ),
    (
        ("user_conversion_rate", "user__current_score_band"),
        """
        select
            coalesce(score_band, ''),
            count(distinct user_id) filter (where is_converted)::numeric / count(distinct user_id)
        from marts.fct_funnel_progress left join marts.dim_users using (user_id)
        where is_complete is not false
        group by 1
        """,
    ),
    (
        ("backlog", "metric_time__week"),
        """
        select distinct on (1) date_trunc('week', day::timestamp), sum(backlog)
        from marts.task_completion_daily group by 1, day order by 1, day desc
        """,
    ),
    (
        ("users_in_band", "band_day__band"),
        """
        select band, users from marts.credit_band_daily
        where day = (select max(day) from marts.credit_band_daily)
        """,
    ),
    (
        ("time_to_convert", "attempt__funnel"),
        """
        select funnel, percentile_cont(0.5) within group (order by seconds_to_convert)
        from marts.fct_funnel_progress where is_complete is not false group by 1
        """,
    ),
    (
        ("completion_rate", "task__task_type"),
        """
        select task_type, sum(opened_then_completed) / sum(tasks_opened)
        from marts.task_completion_daily group by 1
        """,
    ),
    (
        ("cycle_time", "metric_time__day"),
        """
        select opened_on::timestamp, percentile_cont(0.5) within group (order by cycle_seconds)
        from marts.fct_tasks group by 1
        """,
    ),
    (
        ("cycle_time_p90", "task__task_type"),
        """
        select task_type, percentile_cont(0.9) within group (order by cycle_seconds)
        from marts.fct_tasks group by 1
        """,
    ),
    (
        ("active_users", "metric_time__week"),
        """
        select active_week::timestamp, sum(users_active) from marts.retention_weekly
        where users_active > 0 group by 1
        """,
    ),
    (
        ("conversion_rate", "attempt__device"),
        """
        select segments ->> 'device', avg(is_converted::integer)
        from marts.fct_funnel_progress where is_complete is not false group by 1
        """,
    ),
    (
        ("step_rate", "step_day__step"),
        """
        select
            steps.step,
            count(*) filter (where progress.furthest_step_order >= steps.step_order)::numeric
            / nullif(count(*) filter (where progress.furthest_step_order
            >= greatest(steps.step_order - 1, 1)), 0)
        from marts.fct_funnel_progress as progress
        join seeds.funnels as steps using (funnel)
        where steps.step_order is not null
        group by 1
        """,
    ),
    (
        ("reached_in_segment", "step_day__segment_value"),
        """
        select segment_value, sum(reached) filter (where segment <> 'all')
        from marts.conversion_funnel_daily group by 1
        """,
    ),
    (
        ("linear_credit", "touch__traffic_source"),
        "select traffic_source, sum(linear_credit) from marts.attribution group by 1",
    ),
    (
        ("bounce_rate", "visit__traffic_source"),
        """
        select traffic_source, avg(is_bounce::integer) from marts.fct_sessions
        where is_visit group by 1
        """,
    ),
    (
        ("visits", "visit__device"),
        "select coalesce(device, ''), sum(is_visit::integer) from marts.fct_sessions group by 1",
    ),
    (
        ("retention_rate", "retention_week__weeks_since"),
        """
        select
            weeks_since,
            sum(users_active) filter (where is_complete)
            / sum(cohort_users) filter (where is_complete)
        from marts.retention_weekly group by 1
        """,
    ),
    (
        ("rework_rate", "task__task_type"),
        """
        select task_type, sum(opened_then_reworked) / sum(tasks_opened)
        from marts.task_completion_daily group by 1
        """,
    ),
    (
        ("completions", "metric_time__week"),
        """
        select date_trunc('week', days.day::timestamp), count(change)
        from (select distinct day from marts.task_completion_daily) as days
        left join (
            select jsonb_array_elements(status_changes) as change from marts.fct_tasks
        ) as changes
            on (change ->> 'day')::date = days.day and change ->> 'status' = 'completed'
        group by 1
        """,
    ),
    (
        ("on_time_rate_in_band", "band_day__band"),
        """
        select
            bands.band,
            (
                select avg((events.event_type = 'payment_made')::integer)
                from marts.fct_events as events
                left join marts.fct_credit_scores as scores
                    on events.user_id = scores.user_id and events.occurred_at >= scores.valid_from
                    and events.occurred_at < coalesce(scores.valid_to, 'infinity')
                where events.event_type in ('payment_made', 'payment_missed')
                    and coalesce(scores.band, 'unknown') = bands.band
            )
        from (select distinct band from marts.credit_band_daily) as bands
        """,
    ),
    (
        ("on_time_rate", "user__current_score_band"),
        """
        select
            coalesce(score_band, ''),
            sum(payments_made) / nullif(sum(payments_made + payments_missed), 0)
        from marts.dim_users left join marts.credit_profiles using (user_id) group by 1
        """,
    ),
]


@pytest.fixture(scope="module")
def built(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """A warehouse with marts of 120 users, and a funnel of which most attempts are over."""
    quick = funnel("quick", "page_viewed", "application_submitted", window_days="3")
    with create_warehouse() as warehouse:
        warehouse.set_seed("funnels", [*warehouse.seed("funnels"), *quick])
        warehouse.land(*generate(users=120, seed=11).events)
        warehouse.run()
        yield warehouse


def mf(warehouse: Warehouse, *arguments: str, folder: Path = ROOT) -> str:
    """Runs `scripts/mf` in a folder, which has to succeed, and returns what it printed."""
    finished = subprocess.run(
        [ROOT / "scripts" / "mf", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "DATABASE_URL": warehouse.database_url,
            "HEADWATER_DATA": str(warehouse.project.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def engine(built: Warehouse) -> Iterator[MetricFlowEngine]:
    """MetricFlow on these marts within this process, where a question costs no start of it."""
    from metricflow.engine.metricflow_engine import MetricFlowEngine  # noqa: PLC0415  slow
    from metricflow_semantics.model.semantic_manifest_lookup import (  # noqa: PLC0415
        SemanticManifestLookup,
    )

    from scripts.lib.dbt import connectors  # noqa: PLC0415

    with built.environment(), patch.dict(os.environ):
        os.environ[connectors.FOLDER] = str(built.project / "target")
        artifacts = connectors.dbtProjectMetadata.load_from_paths(ROOT, ROOT)
        manifest = connectors.dbtArtifacts.load_from_project_metadata(artifacts).semantic_manifest
        client = connectors.AdapterBackedSqlClient(None)
        yield MetricFlowEngine(SemanticManifestLookup(manifest), client)
    client.close()


def expected_answer(warehouse: Warehouse, query: str) -> dict[str, Any]:
    """What the SQL of a question answers."""
    expected = {
        str(group): None if value is None else pytest.approx(float(value))
        for group, value in warehouse.query(query)
    }
    assert len(expected) > 1
    return expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "query"), QUERIES, ids=[" by ".join(question) for question, _ in QUERIES]
)
def test_metric_equals_sql_on_the_marts(
    built: Warehouse, engine: MetricFlowEngine, question: tuple[str, str], query: str
) -> None:
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest  # noqa: PLC0415  slow

    metric, dimension = question
    request = MetricFlowQueryRequest.create(metric_names=[metric], group_by_names=[dimension])
    answer = engine.query(request).result_df
    assert answer
    assert list(answer.column_names) == [dimension, metric]
    rows = {
        "" if group is None else str(group): None if value is None else float(str(value))
        for group, value in answer.rows
    }
    assert rows == expected_answer(built, query)


@pytest.mark.slow
def test_answer_as_a_file(built: Warehouse, tmp_path: Path) -> None:
    (metric, dimension), query = QUERIES[0]
    question = ("query", "--metrics", metric, "--group-by", dimension)
    mf(built, *question, "--csv", "answer.csv", folder=tmp_path)
    with (tmp_path / "answer.csv").open(newline="") as file:
        answer = {
            row[dimension]: float(row[metric]) if row[metric] else None
            for row in csv.DictReader(file)
        }
    assert answer == expected_answer(built, query)
    # The second question finds what was parsed for the first one, and dbt is not asked at all.
    kept = built.project.parent / "mf" / "staging" / "semantic_manifest.json"
    parsed_at = kept.stat().st_mtime_ns
    mf(built, *question)
    assert kept.stat().st_mtime_ns == parsed_at


def test_an_answer_does_without_dbt() -> None:
    """Whose imports and checks of the project take longer than all the rest."""
    program = (
        "import sys; from scripts.lib.dbt import connectors\n"
        "try: connectors.command(['--help'])\n"
        "except SystemExit: print({'dbt.cli', 'dbt.adapters'} & sys.modules.keys())"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert printed.endswith("set()\n")


@pytest.mark.slow
def test_saved_queries_answer_what_the_charts_of_the_site_ask(
    built: Warehouse, engine: MetricFlowEngine
) -> None:
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest  # noqa: PLC0415  slow

    pages = {f"on the page {title}" for title in TITLES.values()}
    saved = built.manifest()["saved_queries"].values()
    assert len(saved) > 10
    for query in saved:
        assert any(page in query["description"] for page in pages), query["name"]
        request = MetricFlowQueryRequest.create(saved_query_name=query["name"])
        answer = engine.query(request).result_df
        assert answer, query["name"]
        assert len(answer.rows) > 1, query["name"]
        assert {*query["query_params"]["metrics"]} <= {*answer.column_names}


@pytest.mark.slow
def test_every_metric_is_listed_and_valid(built: Warehouse, engine: MetricFlowEngine) -> None:
    listed = {metric.name for metric in engine.list_metrics()}
    assert listed == {metric["name"] for metric in built.manifest()["metrics"].values()}
    assert {metric for (metric, _), _ in QUERIES} <= listed
    assert "ERRORS: 0" in mf(built, "validate-configs", "--skip-dw")


def test_help_needs_no_database() -> None:
    printed = subprocess.check_output([ROOT / "scripts" / "mf", "--help"], text=True)
    assert "--metrics conversion_rate --group-by metric_time__week" in printed


def test_parameters_of_statements_are_refused(built: Warehouse) -> None:
    from metricflow_semantics.sql.sql_bind_parameters import (  # noqa: PLC0415  slow
        SqlBindParameterSet,
    )

    from scripts.lib.dbt import connectors  # noqa: PLC0415

    given = SqlBindParameterSet.create_from_dict({"least": 1})
    with patch.dict(os.environ, libpq_environment(built.database_url)):
        client = connectors.AdapterBackedSqlClient(None)
    for run in (client.query, client.execute, client.dry_run):
        run("select 1")
        with pytest.raises(ValueError, match="no parameters, and one has least: write the values"):
            run("select 1", given)
    with pytest.raises(ValueError, match="no parameters, and one has least: write the values"):
        client.render_bind_parameter_key("least")
    client.close()
