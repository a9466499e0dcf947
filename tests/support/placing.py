"""Builds as `scripts/spark` puts them into a folder, without Spark, and killed at any point.

`python -m tests.support.placing FOLDER` reads numbers, a line each. A process builds for each, and
kills itself before the so-manieth thing that it does to the disk.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.spark.place import publish, unfinished

NEVER = 1_000_000
_FILES = 3
_ON_DISK = ("open", "os.", "shutil.", "fcntl.")  # audit events


class Builder:
    """The process whose children build."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def begin(self, kill_before: int) -> None:
        """Has one begin."""
        assert self.process.stdin
        self.process.stdin.write(f"{kill_before}\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """How the one that began has ended: `killed`, `built` or `refused`."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def build(self, kill_before: int = NEVER) -> str:
        """Builds, and says how that ended."""
        self.begin(kill_before)
        return self.end()


@contextmanager
def builder(place: Path) -> Iterator[Builder]:
    """Builds into a folder, for the block."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.support.placing", str(place)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Builder(process)
        assert process.stdin
        process.stdin.close()


def kept_builds(place: Path) -> set[str]:
    """The names of the builds that are there, of killed ones as well."""
    return {build.name for build in (place / "builds").glob("[!.]*")}


def is_whole(build: Path) -> bool:
    """Whether all files of a build are there, and of no other."""
    parts = [path.read_text() for path in build.rglob("part-0")]
    return len(parts) == _FILES and len(set(parts)) == 1


def _build(place: Path) -> None:
    with unfinished(place) as folder:
        for number in range(_FILES):
            (folder / str(number)).mkdir()
            (folder / str(number) / "part-0").write_text(folder.name)
        publish(folder)


def _kill_before(number: int) -> None:
    left = number

    def count(event: str, _: object) -> None:
        nonlocal left
        if event.startswith(_ON_DISK) and event != "os.kill":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _answer(place: Path, number: int) -> str:
    if (child := os.fork()) == 0:
        status = 2
        try:
            _kill_before(number)
            _build(place)
            status = 0
        except UserError:
            status = 1
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return {0: "built", 1: "refused"}[os.WEXITSTATUS(status)]


if __name__ == "__main__":
    for line in sys.stdin:
        print(_answer(Path(sys.argv[1]), int(line)), flush=True)  # noqa: T201
