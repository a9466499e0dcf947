"""Long work in turns, so that one large request does not keep the others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

TURN_SECONDS = 0.01
SMALL_BYTES = 64 * 1024  # what is read at once
STEP_BYTES = 16 * 1024  # after so many, work yields
_Result = TypeVar("_Result")
_large = asyncio.Lock()  # one after another: each holds more than the bytes that are counted


async def in_turns(work: Generator[None, None, _Result], size: int) -> _Result:
    """The result of work on so many bytes that yields now and then.

    Small work is done at once. Of what is large one is done at a time, in turns with all else.
    """
    if size <= SMALL_BYTES:
        return finished(work)
    async with _large:
        until = 0.0
        while True:
            if perf_counter() > until:
                await asyncio.sleep(0)
                until = perf_counter() + TURN_SECONDS
            try:
                next(work)
            except StopIteration as done:
                result: _Result = done.value
                return result


def finished(work: Generator[None, None, _Result]) -> _Result:
    """The result of work, done at once."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: _Result = done.value
            return result
