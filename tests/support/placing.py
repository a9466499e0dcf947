"""Builds as `scripts/spark` puts them into a folder, without Spark, and killed at any point.

`python -m tests.support.placing FOLDER` reads numbers, a line each. A process builds for each, and
kills itself once it has done so many things to the disk.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from scripts.lib.base.cli import UserError
from scripts.lib.spark.place import publish, unfinished
from tests.support.forking import Forks, forks

NEVER = 1_000_000
_FILES = 3
_ON_DISK = ("open", "os.", "shutil.", "fcntl.")  # audit events


def builder(place: Path) -> AbstractContextManager[Forks]:
    """Builds into a folder, each killed before so many things that it does to the disk.

    They end `killed`, `built` or `refused`.
    """
    return forks("tests.support.placing", str(place))


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
