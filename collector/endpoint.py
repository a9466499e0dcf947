"""What is around each endpoint: the request, the answer to what it raises, the count, the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.body import drain
from collector.metrics import Metrics
from collector.problems import HANDLED, Problem, problem_of

logger = logging.getLogger("collector.requests")


class Endpoint:
    """An endpoint as an ASGI application of its own: without the wrappers of Starlette."""

    def __init__(self, function: Callable[[Request], Awaitable[Response]]) -> None:
        self.function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.function(Request(scope, receive))
        await response(scope, receive, send)


class Observer:
    """ASGI middleware that answers what the application raises, counts each answer and may log it.

    It says nothing that clients can choose: no path, query, address, id or payload. A line of the
    log is a JSON object; `bytes` are those of the body as it came, `source` is the key's name.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, log: bool) -> None:
        self.app = app
        self.requests = metrics.requests
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, size, status = perf_counter(), 0, 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        scope["app"] = self  # has Starlette's router raise 404 and 405
        body = count if self.log else receive
        try:
            await self.app(scope, body, note)
        except Exception as error:
            if not status:
                await (await _answer(Request(scope, body), error))(scope, body, note)
            if not isinstance(error, HANDLED):
                raise  # for uvicorn to log it
        finally:
            found = scope.get("route")
            route = found.path_format if isinstance(found, Route) else "other"
            self.requests(scope["method"], route, status or 500).inc()
            if self.log:
                _log(scope, route, status or 500, perf_counter() - started, size)


async def _answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status == 503 and request.scope["path"].startswith("/v1/"):
        problem = replace(problem, status=429)  # what Segment's SDKs wait for without giving up
    response = problem.response()
    if "connection" not in response.headers and not await drain(request):
        response.headers["Connection"] = "close"
    return response


def _log(scope: Scope, route: str, status: int, seconds: float, size: int) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
        "bytes": size,
    }
    if source := scope.get("source"):
        line["source"] = source
    if received := scope.get("received"):
        line["accepted"] = len(received.events)
        line["rejected"] = len(received.rejections)
    logger.info(msgspec.json.encode(line).decode())


def json_response(value: object) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def is_trial(request: Request) -> bool:
    """Whether a request only asks what would be refused. Raises `Problem` where that is unclear."""
    if not request.scope["query_string"]:  # nearly always, and cheap to see
        return False
    value = request.query_params.get("validateOnly", "false")
    if value not in ("true", "false"):
        message = "validateOnly must be true or false."
        raise Problem(422, "invalid_parameter", message, "validateOnly")
    return value == "true"
