"""How a build ends at a signal: at once, in a line, whatever Spark and dbt are at."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from scripts.lib.spark.place import CURRENT


class Ended(BaseException):
    """A signal came. dbt would wait for all that runs at SystemExit and KeyboardInterrupt."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Has SIGINT and SIGTERM leave the block with the status that shells expect, and one line.

    Those that come after the first change nothing.
    """
    before = {
        each: signal.getsignal(each)
        for each in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(each) != signal.SIG_IGN  # as SIGINT of a process in the background
    }

    def end(number: int, _: FrameType | None) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        _tell_last(f"error: ended by {signal.Signals(number).name}; `{CURRENT}` is as it was\n")
        raise Ended(number)

    for each in before:
        signal.signal(each, end)
    try:
        yield
    except Ended as ended:
        sys.exit(128 + ended.number)
    for each, handler in before.items():
        signal.signal(each, handler)


def _tell_last(line: str) -> None:
    """Writes a line, and has what dbt, PySpark and their threads tell of the end go nowhere.

    By the system's own call: the signal can have come in the midst of a `print`.
    """
    with suppress(OSError):  # nobody reads any more
        os.write(2, line.encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
