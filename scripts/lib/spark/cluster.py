"""A cluster of this machine, for trials and tests: Spark's own master and workers, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scripts.lib.base.cli import UserError

START_SECONDS = 60
_LOOPBACK = "127.0.0.1"
# Ends the program when this process ends, however that ends: the pipe to it closes. With it end the
# executors that it started, which could still write: all of the group that the guard leads.
GUARD = '"$@" </dev/null >/dev/null 2>&1 & cat >/dev/null; kill -9 -$$ 2>/dev/null'
_JAVA = "install Java 17, on Debian by apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
_LOGGING = "rootLogger.level = off\n"
# For what lives for minutes and mostly plans: the compiler of hot code takes more than it saves,
# and so do several threads for garbage.
LIGHT_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_SETTINGS = """spark.authenticate true
spark.authenticate.secret {secret}
spark.driver.bindAddress {host}
spark.driver.host {host}
spark.executor.extraJavaOptions -XX:+UseSerialGC
spark.executor.memory 1g
spark.sql.shuffle.partitions 4
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master's URL, and the processes whose children its workers are."""

    master: str
    workers: Sequence[subprocess.Popen[bytes]]


def require_spark() -> None:
    """Raises UserError where Spark or Java is not installed."""
    if not (find_spec("pyspark") and find_spec("dbt.adapters.spark")):
        raise UserError("the extra `spark` is not installed: run scripts/install --spark")
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin/java")) if home else shutil.which("java")
    if not java or subprocess.run([java, "-version"], capture_output=True, check=False).returncode:
        raise UserError(f"Spark needs Java, and there is none here: {_JAVA}")


@contextmanager
def local_cluster(workers: int) -> Iterator[Cluster]:
    """Runs a master and workers of one core for the block, and nothing of them after it.

    Who wants to use it has to know a secret, which the settings of this process have until then.
    Raises UserError where it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="headwater-spark-"))
    port = _free_port()
    running: list[subprocess.Popen[bytes]] = []
    before = os.environ.get("SPARK_CONF_DIR")
    try:
        _write_settings(folder)
        os.environ["SPARK_CONF_DIR"] = str(folder)
        running.append(_start("master.Master", "--port", str(port), "--webui-port", "0"))
        _wait(port)
        master = f"spark://{_LOOPBACK}:{port}"
        for number in range(workers):
            place = ("-c", "1", "-m", "2g", "-d", str(folder / str(number)), "--webui-port", "0")
            running.append(_start("worker.Worker", *place, master))
        yield Cluster(master, running[1:])
    finally:
        os.environ.pop("SPARK_CONF_DIR", None)
        if before is not None:
            os.environ["SPARK_CONF_DIR"] = before
        for process in running:
            process.communicate()  # closes the pipe
        shutil.rmtree(folder, ignore_errors=True)


def _write_settings(folder: Path) -> None:
    settings = folder / "spark-defaults.conf"
    settings.touch(mode=0o600)
    settings.write_text(_SETTINGS.format(secret=secrets.token_hex(32), host=_LOOPBACK))
    (folder / "log4j2.properties").write_text(_LOGGING)


def _start(daemon: str, *arguments: str) -> subprocess.Popen[bytes]:
    import pyspark  # noqa: PLC0415  of an extra

    home = Path(pyspark.__file__).parent
    return subprocess.Popen(
        ["sh", "-c", GUARD, "sh", home / "bin/spark-class", f"org.apache.spark.deploy.{daemon}",
         "--host", _LOOPBACK, *arguments],
        env=os.environ
        | {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": _LOOPBACK,
            "SPARK_DAEMON_JAVA_OPTS": LIGHT_JAVA,
        },
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends them
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((_LOOPBACK, port), timeout=1):
            return
        time.sleep(0.1)
    raise UserError(f"Spark's master did not start within {START_SECONDS} s: {_JAVA}")
