"""`scripts/serve` with a defect, for the tests that show that the fault tests find it.

`PLANTED_DEFECT` says which: `early_acknowledgement` or `asynchronous_commit`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from unittest.mock import patch

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from collector import connection
from collector.writer import Writer
from scripts.lib.base.cli import run
from scripts.lib.serve import main


def early_acknowledgement() -> Any:  # noqa: ANN401
    """The writer does not wait for the commit."""
    write = Writer.write
    writing = set()

    async def write_later(*arguments: Any, **named: Any) -> None:  # noqa: ANN401
        task = asyncio.create_task(write(*arguments, **named))
        writing.add(task)
        task.add_done_callback(writing.discard)

    return patch.object(Writer, "write", write_later)


def asynchronous_commit() -> Any:  # noqa: ANN401
    """PostgreSQL does not wait for the disk."""

    def open_pool(*arguments: Any, configure: Any, **named: Any) -> AsyncConnectionPool:  # noqa: ANN401
        async def configure_badly(connection: AsyncConnection) -> None:
            await configure(connection)
            await connection.execute("set synchronous_commit to off")

        return AsyncConnectionPool(*arguments, configure=configure_badly, **named)

    return patch.object(connection, "AsyncConnectionPool", open_pool)


DEFECTS = {each.__name__: each for each in (early_acknowledgement, asynchronous_commit)}

if __name__ == "__main__":
    with DEFECTS[os.environ["PLANTED_DEFECT"]]():
        run(main)
