"""The dbt project as Spark builds it: the same models, as whole tables, in Spark's SQL."""

from __future__ import annotations

from typing import Any

from dbt.artifacts.resources.types import NodeType
from dbt.compilation import Compiler
from dbt.contracts.graph.manifest import Manifest

from scripts.lib.spark.expressions import spark_type
from scripts.lib.spark.inputs import SCHEMA, view_name
from scripts.lib.spark.translate import to_spark

# How far PostgreSQL's transactions were read, of which Spark has none, and what came last by these.
OF_POSTGRESQL = frozenset({"model.headwater.stg_raw_lag", "model.headwater.stg_source_freshness"})
_compile = Compiler._compile_code
_contracts: set[str] = set()


def adapt(manifest: Manifest) -> None:
    """Has dbt of this process build the parsed project so."""
    Compiler._compile_code = _compile_code  # type: ignore[assignment, method-assign]
    for node in list(manifest.nodes.values()):
        if OF_POSTGRESQL.intersection([node.unique_id, *node.depends_on_nodes]):
            del manifest.nodes[node.unique_id]
        else:
            _adapt(node)
    for source in manifest.sources.values():
        source.identifier = view_name(source.source_name, source.name)
        source.schema = SCHEMA
        source.relation_name = f"{SCHEMA}.{source.identifier}"


def _adapt(node: Any) -> None:  # noqa: ANN401
    config = node.config
    if node.resource_type == NodeType.Operation:
        if "begin_build" not in node.raw_code:
            node.raw_code = "select 1"
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
    if node.resource_type not in (NodeType.Model, NodeType.Unit) or is_of_rows:
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
