"""One structured line a request, where LOG_REQUESTS asks for it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from time import perf_counter

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.metrics import route_of

logger = logging.getLogger("collector.requests")


class RequestLog:
    """ASGI middleware that logs each answer as a JSON object on a line.

    It has what the metrics have, not what a client can choose: no path, query, address, id or
    payload. `bytes` are those of the body as it came, `source` is the name of the key.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, size, status = perf_counter(), 0, 500

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, count, note)
        finally:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "route": route_of(scope),
                "status": status,
                "seconds": round(perf_counter() - started, 6),
                "bytes": size,
            }
            if source := scope.get("source"):
                line["source"] = source
            if received := scope.get("received"):
                line["accepted"] = len(received.events)
                line["rejected"] = len(received.rejections)
            logger.info(msgspec.json.encode(line).decode())
