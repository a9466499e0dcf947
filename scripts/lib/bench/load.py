"""Load generators: wrk for HTTP, pgbench for the limits of PostgreSQL itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from scripts.lib.base.database import postgres_binary
from scripts.lib.bench.measure import MissingError, ViolationError

SQL = Path(__file__).with_name("sql")
LUA = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: answers with 2xx and others, the rate of 2xx, latencies in milliseconds."""

    ok: int
    refused: int
    per_second: float
    p50: float
    p99: float


def wrk(url: str, connections: int, seconds: float, *arguments: str) -> Load:
    """Posts to `url` as fast as answers come. Raises ViolationError for lost connections.

    `arguments` go to post.lua. One thread of wrk suffices.
    """
    if not shutil.which("wrk"):
        raise MissingError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--timeout",
        "10s",
        "-s",
        str(LUA),
        url,
        "--",
        *arguments,
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^RESULT (.*)$", finished.stdout, re.MULTILINE)
    if not found:
        raise MissingError(f"wrk failed: {finished.stderr.strip() or finished.stdout.strip()}")
    result = json.loads(found[1])
    if result["lost"]:
        lost = f"{result['lost']} connections lost or timed out"
        raise ViolationError(f"{urlsplit(url).path}: {lost}")
    rate = result["ok"] / result["seconds"]
    return Load(result["ok"], result["failed"], rate, result["p50"], result["p99"])


def pgbench(database_url: str, connections: int, seconds: float) -> dict[str, float]:
    """Rows a second and the median latency (ms) of single-row inserts of the same document."""
    with TemporaryDirectory() as folder:
        command = [
            postgres_binary("pgbench"),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={connections}",
            f"--jobs={min(connections, 2)}",
            f"--time={seconds:.0f}",
            f"--file={SQL / 'insert.sql'}",
            "--log",
            f"--log-prefix={folder}/log",
            database_url,
        ]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        rate = re.search(r"^tps = ([\d.]+)", finished.stdout, re.MULTILINE)
        if not rate:
            raise MissingError(f"pgbench failed: {finished.stderr.strip()}")
        microseconds = [
            int(line.split()[2])
            for log in Path(folder).iterdir()
            for line in log.read_text().splitlines()
        ]
    return {"per_second": float(rate[1]), "p50": median(microseconds) / 1000}
