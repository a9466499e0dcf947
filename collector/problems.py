"""Problem details (RFC 9457): the one shape of every error that the collector answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, NamedTuple, cast

import msgspec
import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
# All reasons to refuse: in answers, in raw.rejected_events and in the metrics. They never change.
Code = Literal[
    "body_too_large", "disconnected", "headers_too_large", "internal_error", "invalid_field",
    "invalid_key", "invalid_parameter", "malformed_batch", "malformed_gzip", "malformed_json",
    "malformed_request", "method_not_allowed", "metrics_by_process", "missing_field", "no_events",
    "no_key_configured", "not_an_object", "not_found", "not_migrated", "not_storable",
    "nothing_accepted", "overloaded", "storage_refused", "storage_stuck", "storage_unavailable",
    "too_deep", "too_large", "too_many_events", "too_many_users", "too_slow",
    "unsupported_content_encoding", "unsupported_event_type", "unsupported_media_type",
    "wrong_scope",
]  # fmt: skip


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  the RFC's own word
    """Why a request, or one event of it, is refused.

    `code` is stable and machine-readable, `message` is for a person and names the `field` at fault,
    never its value. `members` are added to the answer, as the RFC allows.
    """

    status: int
    code: Code
    message: str
    field: str | None = None
    headers: Mapping[str, str] | None = None
    members: Mapping[str, object] | None = None

    def body(self) -> dict[str, object]:
        """All members of the answer; Segment's SDKs need `code` and `message`."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "message": self.message,
            **({"field": self.field} if self.field else {}),
            **(self.members or {}),
        }

    def response(self) -> Response:
        """The answer to the request."""
        content = msgspec.json.encode(self.body())
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def try_again(status: int, code: Code, reason: str) -> Problem:
    """A problem that passes by itself: 429 for too much at once, 503 for no database."""
    message = f"{reason}; send the request again."
    return Problem(status, code, message, headers={"Retry-After": "1"})


class Cause(NamedTuple):
    """What a failure of PostgreSQL means. Those that do not pass need an operator."""

    code: Code
    reason: str
    passes: bool = True
    status: int = 503

    def problem(self, error: psycopg.Error | None = None) -> Problem:
        """The answer to a request that met it."""
        name = type(error).__name__ if error and error.sqlstate else ""
        reason = f"{self.reason} ({name})" if name else self.reason
        if self.passes:
            return try_again(self.status, self.code, reason)
        message = f"{reason}. This does not pass by itself: an operator has to act, see the log."
        return Problem(self.status, self.code, message)


AWAY = Cause("storage_unavailable", "The database is unavailable")
BUSY = Cause("overloaded", "Too many requests wait for the database", status=429)
STUCK = Cause("storage_stuck", "The database does not answer in time")
REFUSED = Cause("storage_refused", "PostgreSQL refuses this for good", passes=False)
NOT_MIGRATED = Cause(
    "not_migrated",
    "The raw schema is missing, or of another version, or its grants: run scripts/migrate",
    passes=False,
)
# By the longest prefix of SQLSTATE that fits (PostgreSQL's documentation, Appendix A). Whatever is
# not here does not pass by itself.
CAUSES = {
    "08": AWAY,  # connection exceptions
    "57P": AWAY,  # shut down, crashed, or not up yet
    "25006": Cause("storage_unavailable", "The database is read-only"),
    "53": Cause("storage_unavailable", "The database has no room left"),  # disk, memory
    "58": Cause("storage_unavailable", "The database's system fails"),
    "40": Cause("storage_unavailable", "The transaction met another one"),  # deadlocks and the like
    "25P03": STUCK,  # this process did not go on for too long
    "55P03": Cause("storage_stuck", "A lock is held for too long in the database"),
    "57014": Cause("storage_stuck", "The database takes too long"),
    "3F000": NOT_MIGRATED,  # no such schema
    "42501": NOT_MIGRATED,  # no such right
    "42P01": NOT_MIGRATED,  # table
    "42703": NOT_MIGRATED,  # column
    "42883": NOT_MIGRATED,  # function
    "": REFUSED,
}


class Stuck(psycopg.OperationalError):
    """The database did not answer in time, and its connection was cut."""


def cause_of(error: psycopg.Error) -> Cause:
    """What a failure of PostgreSQL, or of reaching it, means."""
    match error:
        case PoolTimeout() | TooManyRequests():
            return BUSY
        case Stuck():
            return STUCK
        case psycopg.OperationalError(sqlstate=None):
            return AWAY
    state = error.sqlstate or ""
    return next(CAUSES[state[:size]] for size in range(5, -1, -1) if state[:size] in CAUSES)


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
            code = cast(Code, HTTPStatus(status).name.lower())  # of Starlette's: 404 and 405
            problem = Problem(status, code, f"{detail}.", headers=error.headers)
        case ClientDisconnect():  # nobody is left to read it
            problem = Problem(408, "disconnected", "The body did not arrive.")
        case psycopg.DataError():
            problem = not_storable(error.diag.message_primary)
        case psycopg.Error():
            problem = cause_of(error).problem(error)
        case _:
            problem = Problem(500, "internal_error", "The collector failed; its log says why.")
    return problem


HANDLED = (Problem, HTTPException, ClientDisconnect, psycopg.Error)
