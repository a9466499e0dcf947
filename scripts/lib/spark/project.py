"""The dbt project as Spark builds it: the same models, as whole tables, in Spark's SQL."""

from __future__ import annotations

from typing import Any

from dbt.artifacts.resources.types import NodeType
from dbt.compilation import Compiler
from dbt.contracts.graph.manifest import Manifest

from scripts.lib.spark.expressions import spark_type
from scripts.lib.spark.inputs import SCHEMA, view_name
from scripts.lib.spark.translate import to_spark

# How far PostgreSQL's transactions were read, of which Spark has none, what came last by these, and
# tests that go by marks.
OF_POSTGRESQL = frozenset(
    {
        "model.headwater.stg_raw_lag",
        "model.headwater.stg_source_freshness",
        "test.headwater.no_personal_values_where_none_are_planned",
        "test.headwater.staging_conserves_every_raw_row",
    }
)
_TRANSLATED = (NodeType.Model, NodeType.Test, NodeType.Unit)
_compile = Compiler._compile_code
_contracts: set[str] = set()


def adapt(manifest: Manifest) -> None:
    """Has dbt of this process build the parsed project so."""
    Compiler._compile_code = _compile_code  # type: ignore[assignment, method-assign]
    _leave_out(manifest, OF_POSTGRESQL)
    for node in manifest.nodes.values():
        _adapt(node)
    for source in manifest.sources.values():
        source.identifier = view_name(source.source_name, source.name)
        source.schema = SCHEMA
        source.relation_name = f"{SCHEMA}.{source.identifier}"


def _leave_out(manifest: Manifest, ids: frozenset[str]) -> None:
    """Takes nodes out of the project, and all that is made of them."""
    while ids:
        made_of_them: set[str] = set()
        for kind in (manifest.nodes, manifest.unit_tests, manifest.exposures):
            for each in ids.intersection(kind):
                del kind[each]
            made_of_them |= {
                key for key, node in kind.items() if ids.intersection(node.depends_on_nodes)
            }
        ids = frozenset(made_of_them)


def _adapt(node: Any) -> None:  # noqa: ANN401
    config = node.config
    if node.resource_type == NodeType.Operation:
        if "begin_build" not in node.raw_code:
            node.raw_code = "select 1"
        return
    if node.resource_type == NodeType.Test:
        config.store_failures = False  # views of PostgreSQL's
        return
    # Statistics, marks, rights and checks of raw: PostgreSQL's.
    config.pre_hook, config.post_hook, config.persist_docs = [], [], {}
    config._extra["file_format"] = "parquet"
    if node.resource_type == NodeType.Seed:
        types = config.column_types
        config.column_types = {name: spark_type(kind) for name, kind in types.items()}
    elif node.resource_type == NodeType.Model:
        config.materialized = "table"
        if config.contract.enforced:  # here by the casts in `_compile_code`
            _contracts.add(node.unique_id)
            config.contract.enforced = node.contract.enforced = False


def _compile_code(self: Compiler, node: Any, manifest: Manifest, context: Any = None) -> Any:  # noqa: ANN401
    node = _compile(self, node, manifest, context)
    is_of_rows = "get_fixture_sql" in node.raw_code  # of a unit test, by dbt in Spark's SQL
    if node.resource_type not in _TRANSLATED or is_of_rows:
        return node
    sql = to_spark(node.compiled_code)
    if node.unique_id in _contracts and node.columns:
        columns = ",\n".join(
            f"cast({column.name} as {spark_type(column.data_type)}) as {column.name}"
            for column in node.columns.values()
        )
        sql = f"select\n{columns}\nfrom (\n{sql}\n)"
    node.compiled_code = sql
    return node
