"""Files that several commands of this machine share: whole at any time, or one command's at a time.

Who keeps a file for others writes it by `put_whole`; a folder that another program fills in place,
as dbt does, is filled and read `alone`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def put_whole(path: Path, content: bytes) -> None:
    """Puts a file in place at once: whoever reads it has this one, or the one before."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


@contextmanager
def alone(lock: Path, otherwise: Callable[[], None]) -> Iterator[None]:
    """Keeps out, for the block, all others that name the same file `lock`; it may end by a kill.

    Where another one is at it, `otherwise` is called: it may raise, else the other is waited for.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            otherwise()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
