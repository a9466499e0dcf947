"""A process of its own whose children do something and are killed in the middle of it.

Forked, since starting Python with what they need takes longer than what they do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from collector.settings import ROOT


class Forks:
    """The process: reads a line for each child, and answers with how that one ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, line: object = "") -> str:
        """Has a child begin and end."""
        self.begin(line)
        return self.end()

    def begin(self, line: object = "") -> None:
        """Has a child begin."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """How the one that began has ended."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextmanager
def forks(module: str, *arguments: str) -> Iterator[Forks]:
    """`python -m module` for the block."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Forks(process)
        assert process.stdin
        process.stdin.close()
