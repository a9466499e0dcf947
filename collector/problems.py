"""Problem details (RFC 9457): the one shape of every error that the collector answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
import psycopg
from psycopg_pool import TooManyRequests
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  the RFC's own word
    """Why a request, or one event of it, is refused.

    `code` is stable and machine-readable, `message` is for a person and names the `field` at fault,
    never its value. `members` are added to the answer, as the RFC allows.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    headers: Mapping[str, str] | None = None
    members: Mapping[str, object] | None = None

    def summary(self) -> dict[str, object]:
        """The members that say what is wrong; Segment's SDKs need `code` and `message`."""
        fault = {"field": self.field} if self.field else {}
        return {"code": self.code, "message": self.message, **fault}

    def body(self) -> dict[str, object]:
        """All members of the answer."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status}
        return body | {"detail": self.message, **self.summary(), **(self.members or {})}

    def response(self) -> Response:
        """The answer to the request."""
        content = msgspec.json.encode(self.body())
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def try_again(status: int, code: str, reason: str) -> Problem:
    """A problem that passes by itself: 429 for too much at once, 503 for no database."""
    message = f"{reason}; send the request again."
    return Problem(status, code, message, headers={"Retry-After": "1"})


def not_storable(reason: str | None) -> Problem:
    """What PostgreSQL says of a payload that JSONB cannot hold, up to where it repeats a value."""
    reason = (reason or "invalid data").partition(":")[0]
    return Problem(422, "not_storable", f"PostgreSQL cannot store this: {reason}.")


def problem_of(error: Exception) -> Problem:
    """The problem that an exception amounts to; what no client can cause is a 500."""
    match error:
        case Problem():
            problem = error
        case HTTPException(status_code=status, detail=detail):
            code = HTTPStatus(status).name.lower()
            problem = Problem(status, code, f"{detail}.", headers=error.headers)
        case ClientDisconnect():  # nobody is left to read it
            problem = Problem(408, "disconnected", "The body did not arrive.")
        case TooManyRequests():
            problem = try_again(429, "overloaded", "Too many requests wait for the database")
        case psycopg.DataError():
            problem = not_storable(error.diag.message_primary)
        case psycopg.Error():
            problem = try_again(503, "storage_unavailable", "The database is unavailable")
        case _:
            problem = Problem(500, "internal_error", "The collector failed; its log says why.")
    return problem


HANDLED = (Problem, HTTPException, ClientDisconnect, psycopg.Error)
