"""The HTTP service: routes, requests and answers. What they mean is in the modules beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlencode

import msgspec
import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.body import is_ndjson, read_body
from collector.database import connect, open_pool
from collector.problems import HANDLED, Problem, answer, try_again
from collector.registry import supported_event_types
from collector.settings import Settings
from collector.users import find_user, list_users, save_user
from collector.validation import read_events, read_user
from collector.writer import Writer

USER_CONNECTIONS = 4
USERS_PER_PAGE = 100
MAX_USERS_PER_PAGE = 1000

logger = logging.getLogger("collector")


def create_app(settings: Settings) -> Starlette:
    """The ASGI application; it needs `settings.source_database_url`, migrated, but not yet up."""
    if not settings.source_database_url:
        raise ValueError("The collector needs SOURCE_DATABASE_URL or DATABASE_URL.")
    collector = Collector(settings)
    routes = [
        Route("/events", collector.post_events, methods=["POST"]),
        Route("/users", collector.users, methods=["GET", "POST"]),
        Route("/users/{user_id:path}", collector.get_user, methods=["GET"]),
        Route("/healthz", collector.healthz, methods=["GET"]),
        Route("/readyz", collector.readyz, methods=["GET"]),
    ]
    handlers = dict.fromkeys(HANDLED, answer)
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=collector.lifespan)
    app.router.redirect_slashes = False
    return app


class Collector:
    """The endpoints and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supported = supported_event_types()
        self.writer = Writer(settings)
        self.pool = open_pool(settings, "users", USER_CONNECTIONS)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Opens the connections without waiting for them; closes them after the last answer."""
        async with self.pool, self.writer.running():
            logger.info("Collecting %d event types", len(self.supported))
            yield

    async def post_events(self, request: Request) -> Response:
        """Stores one event, an array or NDJSON, and answers after the commit."""
        lines = is_ndjson(request)
        body = await read_body(request, self.settings)
        received = read_events(body, self.supported, self.settings, lines=lines)
        await self.writer.write(received, len(body))
        rejections = sorted(received.rejections, key=lambda rejection: rejection.position)
        rejected = [{"index": each.position, **each.problem.summary()} for each in rejections]
        if received.events:
            event_ids = [event.event_id for event in received.events]
            return _json({"accepted": len(event_ids), "eventIds": event_ids, "rejected": rejected})
        if received.single:
            raise rejections[0].problem
        message = "No event was accepted; rejected says why."
        raise Problem(422, "nothing_accepted", message, members={"rejected": rejected})

    async def users(self, request: Request) -> Response:
        """Creates or updates a user (`POST`), or answers a page of them (`GET`)."""
        return await (self.post_user if request.method == "POST" else self.get_users)(request)

    async def post_user(self, request: Request) -> Response:
        """Stores a user and answers its newest state."""
        is_ndjson(request)
        user, payload = read_user(await read_body(request, self.settings), self.settings)
        async with connect(self.pool) as connection:
            (user_id, state), created = await save_user(connection, user, payload)
        headers = {"Location": "/users/" + quote(user_id, safe="")}
        return _json(state, 201, headers) if created else _json(state)

    async def get_users(self, request: Request) -> Response:
        """Answers a page of users, with a link (RFC 8288) to the next one where there is more."""
        after = request.query_params.get("after")
        limit = _limit(request.query_params.get("limit", str(USERS_PER_PAGE)))
        async with connect(self.pool) as connection:
            states = await list_users(connection, after, limit + 1)
        headers = {}
        if len(states) > limit:
            query = urlencode({"after": states[limit - 1][0], "limit": limit})
            headers["Link"] = f'</users?{query}>; rel="next"'
        return _json([state for _, state in states[:limit]], headers=headers)

    async def get_user(self, request: Request) -> Response:
        """Answers the newest state of one user."""
        async with connect(self.pool) as connection:
            _, state = await find_user(connection, request.path_params["user_id"])
        return _json(state)

    async def healthz(self, _request: Request) -> Response:
        """Answers whenever the process runs, whatever the database does."""
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """Answers 200 where events can be stored: the database is there and migrated."""
        try:
            async with connect(self.pool) as connection:
                await connection.execute("select from raw.events limit 0")
        except psycopg.errors.UndefinedTable:
            reason = "The raw schema is missing: run scripts/migrate"
            raise try_again(503, "not_migrated", reason) from None
        return _json({"status": "ready"})


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _limit(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_USERS_PER_PAGE:
        return int(text)
    message = f"limit must be a number from 1 to {MAX_USERS_PER_PAGE}."
    raise Problem(422, "invalid_parameter", message, "limit")
