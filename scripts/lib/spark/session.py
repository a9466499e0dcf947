"""The session of a build: its settings, the functions that models need, and what errors tell."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dbt.adapters.spark import session as adapter
from dbt_common.exceptions import DbtRuntimeError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from scripts.lib.base.cli import UserError
from scripts.lib.spark.cluster import LIGHT_JAVA
from scripts.lib.spark.ending import Ended

END_SECONDS = 4
_FUNCTIONS = Path(__file__).with_name("functions.sql")
_SETTINGS = {
    "spark.app.name": "headwater",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # What a model is compiled to has methods that Java would only interpret, row by row.
    "spark.executor.defaultJavaOptions": "-XX:-DontCompileHugeMethods",
    "spark.sql.ansi.enabled": "true",
    # What is in the files is what there is: no metastore has to be told.
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.jsonGenerator.ignoreNullFields": "false",
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",  # as `||` of jsonb
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ui.explainMode": "simple",  # which is written at every step, and nobody reads here
    # Spark 4.3 fails with it: "Can't zip RDDs with unequal numbers of partitions".
    "spark.sql.unionOutputPartitioning": "false",
}
_execute = adapter.Cursor.execute


@contextmanager
def session(master: str, warehouse: Path, settings: Mapping[str, str]) -> Iterator[SparkSession]:
    """A session on a master, whose tables are folders of `warehouse`, for the block.

    Raises UserError where nobody answers there. Where a signal ends the block, what runs is not
    waited for.
    """
    _require_answer(master)
    is_local = master.startswith("local")  # then it does the tasks as well
    if is_local or urlsplit(master).hostname == "127.0.0.1":
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master(master)
    java = _SETTINGS["spark.executor.defaultJavaOptions"] if is_local else LIGHT_JAVA
    own = {"spark.sql.warehouse.dir": str(warehouse), "spark.driver.defaultJavaOptions": java}
    for name, value in (_SETTINGS | own | dict(settings)).items():
        builder = builder.config(name, value)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # py4j's own, PySpark's own, or none that is known
        raise UserError(f"{master}: no session ({str(error).splitlines()[0]})") from None
    finally:
        signal.signal(signal.SIGINT, interrupt)  # of which PySpark makes one of its own
    end = spark.stop
    try:
        spark.sparkContext.setLogLevel("OFF")
        for statement in _statements():
            spark.sql(statement)
        adapter.Cursor.execute = _execute_quietly
        yield spark
    except Ended:
        end = partial(_end_java, spark)
        raise
    finally:
        adapter.Cursor.execute = _execute
        end()


def _end_java(spark: SparkSession) -> None:
    """Ends the driver, and with it this application, but no cluster that others have as well.

    Its own end takes its executors and its files away; it gets a few seconds for it.
    """
    java: subprocess.Popen[bytes] = spark.sparkContext._gateway.proc
    java.terminate()
    try:
        java.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        java.kill()
        java.wait()


def _execute_quietly(cursor: Any, sql: str, *parameters: Any) -> None:  # noqa: ANN401
    """Runs a statement for dbt, whose errors keep what is in rows to themselves."""
    # dbt's adapter has every cast of what cannot be cast be null; PostgreSQL's fail.
    cursor.server_side_parameters["spark.sql.ansi.enabled"] = "true"
    try:
        _execute(cursor, sql, *parameters)
    except AnalysisException:  # about names and types
        raise
    except PySparkException as error:
        raise DbtRuntimeError(
            f"Spark: {error.getCondition() or type(error).__name__} "
            "(its text is not shown: it can hold a row's values)"
        ) from None


def _statements() -> list[str]:
    lines = _FUNCTIONS.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement for statement in text.split(";\n") if statement.strip()]


def _require_answer(master: str) -> None:
    if not master.startswith("spark://"):
        return
    failed: Exception | None = None
    for each in master.removeprefix("spark://").split(","):  # of which one leads
        parts = urlsplit(f"//{each}")
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5):
                return
        except (OSError, ValueError) as error:
            failed = error
    raise UserError(f"no master of Spark answers at {master}: {failed}")
