"""An endpoint as an ASGI application, and the answer to what it raises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collector.body import drain
from collector.problems import HANDLED, Problem, problem_of


async def answer(request: Request, error: Exception) -> Response:
    """Starlette's handler of every exception; it logs those that are a 500."""
    problem = problem_of(error)
    if problem.status == 503 and request.scope["path"].startswith("/v1/"):
        problem = replace(problem, status=429)  # what Segment's SDKs wait for without giving up
    response = problem.response()
    if "connection" not in response.headers and not await drain(request):
        response.headers["Connection"] = "close"
    return response


def is_trial(request: Request) -> bool:
    """Whether a request only asks what would be refused. Raises `Problem` where that is unclear."""
    if not request.scope["query_string"]:  # nearly always, and cheap to see
        return False
    value = request.query_params.get("validateOnly", "false")
    if value not in ("true", "false"):
        message = "validateOnly must be true or false."
        raise Problem(422, "invalid_parameter", message, "validateOnly")
    return value == "true"


class Endpoint:
    """An endpoint as an ASGI application of its own: without the wrappers of Starlette."""

    def __init__(self, function: Callable[[Request], Awaitable[Response]]) -> None:
        self.function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self.function(request)
        except HANDLED as error:
            response = await answer(request, error)
        await response(scope, receive, send)
