"""The body of a request: its kind, and its bytes, inflated, within the limits."""

from __future__ import annotations

import asyncio
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from starlette.requests import ClientDisconnect, Request

from collector.problems import Problem, try_again
from collector.settings import Settings

if TYPE_CHECKING:
    from zlib import _Decompress as Inflater

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
# Browsers send text/plain without a preflight request.
JSON = frozenset({"", "application/json", "text/plain"})
GZIP = frozenset({"gzip", "x-gzip"})
# How much of a body that is refused is still read, so that its client gets to see the answer.
DRAIN_BYTES = 8 * 1024 * 1024
DRAIN_SECONDS = 5
INFLATE_BYTES = 256 * 1024  # at a time
_READ = "headwater.body_read"  # in a request's scope: its body has been read to its end


class Admission:
    """Counts the bytes of all requests that are being read or wait to be stored: one bound.

    Those in `yielding` give way, the oldest first, where a further one would be too much.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.yielding: dict[Share, asyncio.Timeout] = {}


class Share:
    """The bytes of one request, a context manager that gives them back."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Counts the bytes no longer."""
        self.admission.used -= self.size
        self.size = 0

    def take(self, size: int) -> None:
        """Counts further bytes; raises `Problem` where all requests together hold too much.

        One request is never too much by itself: the limits of a body are others.
        """
        counted = self.admission
        while self.size < counted.used and counted.used + size > counted.limit:
            oldest = next(iter(counted.yielding), self)
            if oldest is self:
                raise try_again(429, "overloaded", "Too much is waiting to be stored")
            counted.yielding.pop(oldest).reschedule(0)
            oldest.give_back()
        counted.used += size
        self.size += size


def is_ndjson(request: Request) -> bool:
    """Whether the body is NDJSON rather than JSON; raises `Problem` where it is neither."""
    media_type = header(request, b"content-type").partition(";")[0].strip().lower()
    is_json = media_type in JSON or re.fullmatch(r"application/.+\+json", media_type)
    if not is_json and media_type not in NDJSON:
        message = "Content-Type must be application/json or application/x-ndjson."
        raise Problem(415, "unsupported_media_type", message)
    return media_type in NDJSON


async def read_body(request: Request, settings: Settings, share: Share) -> bytes:
    """The whole body, inflated, without a BOM. Raises `Problem` where it is too large."""
    inflater = _inflater(request)
    limit = settings.max_inflated_bytes if inflater else settings.max_body_bytes
    pieces: list[bytes] = []
    received = held = 0
    more = True
    while more:  # request.stream() does the same, at several times the cost
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        request.scope[_READ] = not more
        chunk = message.get("body", b"")
        received += len(chunk)
        for piece in _inflated(inflater, chunk) if inflater else (chunk,):
            held += len(piece)
            if received > settings.max_body_bytes or held > limit:
                reason = f"A body may have {limit} bytes at most; send several requests."
                raise Problem(413, "body_too_large", reason)
            share.take(len(piece))
            pieces.append(piece)
            if inflater:
                await asyncio.sleep(0)  # other requests have their turn
    if inflater and not inflater.eof:
        raise _not_gzip()
    return b"".join(pieces).removeprefix(BOM_UTF8)


def header(request: Request, name: bytes) -> str:
    """The first header of a name, given in lower case, or an empty text."""
    for each, value in request.scope["headers"]:  # much faster than request.headers
        if each == name:
            return bytes(value).decode("latin-1")
    return ""


async def drain(request: Request) -> bool:
    """Reads and forgets the rest of a body; returns whether all of it came, in time."""
    if request.scope.get(_READ):
        return True
    size = 0
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAIN_BYTES:
                    return False
            return True
    return False


def _inflater(request: Request) -> Inflater | None:
    coding = header(request, b"content-encoding").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in GZIP:
        headers = {"Accept-Encoding": "gzip, identity"}
        message = "Content-Encoding must be gzip or identity."
        raise Problem(415, "unsupported_content_encoding", message, headers=headers)
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def _inflated(inflater: Inflater, chunk: bytes) -> Iterator[bytes]:
    """Raises `Problem` for what is not one gzip member (RFC 1952), whole and alone."""
    try:
        while piece := inflater.decompress(chunk, INFLATE_BYTES):
            yield piece
            chunk = inflater.unconsumed_tail
    except zlib.error:
        raise _not_gzip() from None
    if inflater.unused_data or (inflater.eof and chunk):
        raise _not_gzip()


def _not_gzip() -> Problem:
    return Problem(400, "malformed_gzip", "The body is not one whole gzip member.")
