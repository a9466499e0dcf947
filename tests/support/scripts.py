"""Scripts as their users start them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.settings import ROOT

Start = Callable[..., subprocess.Popen[str]]


@contextmanager
def starting(database_url: str, folder: Path) -> Iterator[Start]:
    """Starts scripts on a database, from another folder than the project's; kills what runs on."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [ROOT / "scripts" / script, *arguments],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "HEADWATER_DATA": str(folder / "data"),
                "DATABASE_URL": database_url,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    try:
        yield start
    finally:
        for process in running:
            with process:
                process.kill()
