"""The body of a request: whether its kind is supported, and its bytes within the limits."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request

from collector.problems import Problem
from collector.settings import Settings

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
# Browsers send text/plain without a preflight request.
JSON = frozenset({"", "application/json", "text/plain"})
# How much of a body that is too large is read, so that its client gets to see the answer.
DRAIN_BYTES = 8 * 1024 * 1024
DRAIN_SECONDS = 5


def is_ndjson(request: Request) -> bool:
    """Whether the body is NDJSON rather than JSON; raises `Problem` where it is neither."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        headers = {"Accept-Encoding": "identity"}
        message = "Send the body without Content-Encoding."
        raise Problem(415, "unsupported_content_encoding", message, headers=headers)
    is_json = media_type in JSON or re.fullmatch(r"application/.+\+json", media_type)
    if not is_json and media_type not in NDJSON:
        message = "Content-Type must be application/json or application/x-ndjson."
        raise Problem(415, "unsupported_media_type", message)
    return media_type in NDJSON


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body; raises `Problem` where it is too large or comes too slowly."""
    limit = settings.max_body_bytes
    seconds = settings.body_timeout_seconds
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(seconds) as deadline:
            async for chunk in request.stream():
                if size <= limit < size + len(chunk):
                    deadline.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)
                size += len(chunk)
                if size <= limit:
                    body += chunk
                elif size > limit + DRAIN_BYTES:
                    break
    except TimeoutError:
        if size <= limit:
            message = f"The body must arrive within {seconds} seconds."
            raise Problem(408, "too_slow", message, headers={"Connection": "close"}) from None
    if size > limit:
        message = f"A body may have {limit} bytes at most; send several requests."
        raise Problem(413, "body_too_large", message, headers={"Connection": "close"})
    return bytes(body)
