"""Runs the collector as a process of its own for as long as a command needs it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.settings import ROOT
from scripts.lib.base.cli import UserError


@dataclass(frozen=True, slots=True)
class Running:
    """A collector that answers at `url`."""

    url: str
    pid: int


@contextmanager
def running_collector(
    database_url: str, log: Path, tree: Path = ROOT, /, **environment: str
) -> Iterator[Running]:
    """Runs `scripts/serve` of a checkout on a free port of this machine, with further settings.

    Raises UserError with what it logged where it does not start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    own = {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DATABASE_URL": database_url,
        "SOURCE_DATABASE_URL": "",  # a user's own would win
        "DESTINATION_DATABASE_URL": "",
    }
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [tree / "scripts" / "serve"],
            env={**os.environ, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            url = re.search(r"http://[^ ,]+", line)
            if not url:
                raise UserError(f"the collector did not start:\n{log.read_text().strip()}")
            yield Running(url[0], process.pid)
        finally:
            process.terminate()
