"""The HTTP service: routes, requests and answers. What they mean is in the modules beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import prometheus_client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.body import Admission, Share, is_ndjson, read_body
from collector.database import Database
from collector.documentation import pages
from collector.endpoint import Endpoint, answer
from collector.keys import Key
from collector.metrics import Metrics, Observer
from collector.problems import HANDLED, Problem
from collector.registry import supported_event_types
from collector.request_log import RequestLog
from collector.segment import CALLS, read_messages
from collector.settings import Settings
from collector.user_batches import is_batch, save_batch
from collector.users import find_user, list_users, page_limit, save_user, save_users
from collector.validation import Received, read_events, read_user
from collector.writer import Writer

USER_BYTES = 1024  # what a user of a batch takes in memory besides its text
EVENT_BYTES = 512  # what an event takes in memory besides its text
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["Authorization", "Content-Encoding", "Content-Type", "X-Retry-Count"],
    "expose_headers": ["Link", "Location", "Retry-After"],
}

logger = logging.getLogger("collector")


def create_app(settings: Settings) -> Starlette:
    """The ASGI application; it needs `settings.source_database_url`, migrated, but not yet up."""
    if not settings.source_database_url:
        raise ValueError("The collector needs SOURCE_DATABASE_URL or DATABASE_URL.")
    collector = Collector(settings)
    openapi, page = pages(settings)
    middleware = [Middleware(Observer, collector.metrics)]
    if settings.log_requests:
        middleware.insert(0, Middleware(RequestLog))
    if origins := settings.cors_origins:
        middleware.append(Middleware(CORSMiddleware, allow_origins=origins, **CORS))
    app = Starlette(
        routes=[
            Route("/events", Endpoint(collector.post_events), methods=["POST"]),
            Route("/v1/{call}", Endpoint(collector.post_messages), methods=["POST"]),
            Route("/users", collector.users, methods=["GET", "POST"]),
            Route("/users/{user_id:path}", collector.get_user, methods=["GET"]),
            Route("/key", collector.get_key, methods=["GET"]),
            Route("/healthz", HEALTHY, methods=["GET"]),
            Route("/readyz", collector.readyz, methods=["GET"]),
            Route("/metrics", collector.get_metrics, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
            Route("/docs", page, methods=["GET"]),
        ],
        middleware=middleware,
        exception_handlers=dict.fromkeys((*HANDLED, Exception), answer),
        lifespan=collector.lifespan,
    )
    app.router.redirect_slashes = False
    return app


class Collector:
    """The endpoints and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supported = supported_event_types()
        self.metrics = Metrics()
        self.database = Database(settings)
        self.keys = self.database.keys
        self.admission = Admission(settings.max_waiting_bytes)
        self.writer = Writer(self.database, self.metrics)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Opens the connections without waiting for them; closes them after the last answer."""
        async with self.database.running(), self.writer.running():
            logger.info("Collecting %d event types", len(self.supported))
            yield

    async def post_events(self, request: Request) -> Response:
        """Stores one event, an array or NDJSON, and answers after the commit."""
        key = self.keys.authorize(request, "write")
        self.database.require()
        lines = is_ndjson(request)
        with Share(self.admission) as share:
            received = read_events(
                await read_body(request, self.settings, share),
                self.supported,
                self.settings,
                lines=lines,
            )
            rejected = await self._store(request, received, key, "/events", share)
        if received.events:
            event_ids = [event.event_id for event in received.events]
            return _json({"accepted": len(event_ids), "eventIds": event_ids, "rejected": rejected})
        if received.single:
            raise received.rejections[0].problem
        message = "No event was accepted; rejected says why."
        raise Problem(422, "nothing_accepted", message, members={"rejected": rejected})

    async def post_messages(self, request: Request) -> Response:
        """Stores what an SDK of Segment sends, and answers 200 even if some of it is refused."""
        call = CALLS.get(request.path_params["call"])
        if call is None:
            raise Problem(404, "not_found", f"There is no such call; there are {', '.join(CALLS)}.")
        self.database.require()
        if is_ndjson(request):
            raise Problem(415, "unsupported_media_type", "Send application/json or text/plain.")
        with Share(self.admission) as share:
            body = await read_body(request, self.settings, share)
            messages = read_messages(body, call, self.supported, self.settings)
            key = self.keys.authorize(request, "write", messages.write_key)
            received = messages.received
            rejected = await self._store(request, received, key, f"/v1/{call}", share)
            stored = {event.position for event in received.events}
            users = [each for each in messages.identified if each.position in stored]
            if users and not _is_trial(request):
                async with self.database.connect(self.database.users) as connection:
                    await save_users(connection, [(user, text) for _, user, text in users], key)
        return _json({"success": True, "accepted": len(received.events), "rejected": rejected})

    async def _store(
        self, request: Request, received: Received, key: Key, route: str, share: Share
    ) -> list[dict[str, object]]:
        """Commits and counts events, or tries them; returns the rejections as an answer does."""
        share.take(EVENT_BYTES * (len(received.events) + len(received.rejections)))
        if _is_trial(request):
            await self.writer.check(received)
        else:
            await self.writer.write(received, key, route, share.size)
            request.scope["received"] = received
            self.metrics.accepted(key.name).inc(len(received.events))
            for rejection in received.rejections:
                self.metrics.rejected(rejection.problem.code).inc()
        rejections = sorted(received.rejections, key=lambda rejection: rejection.position)
        return [{"index": each.position, **each.problem.summary()} for each in rejections]

    async def users(self, request: Request) -> Response:
        """Creates or updates a user (`POST`), or answers a page of them (`GET`)."""
        return await (self.post_user if request.method == "POST" else self.get_users)(request)

    async def post_user(self, request: Request) -> Response:
        """Stores a user and answers its newest state, or several and answers as for events."""
        key = self.keys.authorize(request, "write")
        self.database.require()
        lines = is_ndjson(request)
        with Share(self.admission) as share:
            body = await read_body(request, self.settings, share)
            if lines or is_batch(body):
                share.take(USER_BYTES * (body.count(b"\n") + body.count(b"},")))
                async with self.database.connect(self.database.users) as connection:
                    saved = await save_batch(connection, body, self.settings, key, lines=lines)
                return _json(saved)
            user, payload = read_user(body, self.settings)
            async with self.database.connect(self.database.users) as connection:
                (user_id, state), created = await save_user(connection, user, payload, key)
        headers = {"Location": "/users/" + quote(user_id, safe="")}
        return _json(state, 201, headers) if created else _json(state)

    async def get_users(self, request: Request) -> Response:
        """Answers a page of users, with a link (RFC 8288) to the next one where there is more."""
        self.keys.authorize(request, "read")
        after = request.query_params.get("after")
        limit = page_limit(request.query_params.get("limit"))
        async with self.database.connect(self.database.users) as connection:
            states = await list_users(connection, after, limit + 1)
        headers = {}
        if len(states) > limit:
            query = urlencode({"after": states[limit - 1][0], "limit": limit})
            headers["Link"] = f'</users?{query}>; rel="next"'
        return _json([state for _, state in states[:limit]], headers=headers)

    async def get_user(self, request: Request) -> Response:
        """Answers the newest state of one user."""
        self.keys.authorize(request, "read")
        async with self.database.connect(self.database.users) as connection:
            _, state = await find_user(connection, request.path_params["user_id"])
        return _json(state)

    async def get_key(self, request: Request) -> Response:
        """Answers whose key the request came with."""
        key = self.keys.authorize(request, None)
        self.database.require()
        return _json(
            {"source": key.name, "scopes": [key.scope] if key.scope else ["read", "write"]}
        )

    async def readyz(self, _request: Request) -> Response:
        """Answers 200 where events can be stored: the database is there and migrated."""
        await self.database.look()
        slots = [
            {"slot": slot["slot_name"], "active": slot["active"], "lagBytes": slot["lag_bytes"]}
            for slot in self.database.replication
        ]
        return _json({"status": "ready", **({"replication": slots} if slots else {})})

    async def get_metrics(self, request: Request) -> Response:
        """Answers what Prometheus scrapes: this process's, so not at an address of several."""
        if self.settings.workers > 1 and request.scope["server"][1] == self.settings.port:
            message = "Each process has its own metrics, at the ports after this one (WORKERS)."
            raise Problem(404, "metrics_by_process", message)
        self.metrics.held_bytes.set(self.admission.used)
        self.metrics.database_up.set(self.database.reachable)
        self.metrics.replication_lag.clear()
        for slot in self.database.replication:
            self.metrics.replication_lag.labels(slot["slot_name"]).set(slot["lag_bytes"] or 0)
        self.metrics.oldest_transaction.set(self.database.oldest_transaction_seconds)
        content = prometheus_client.generate_latest(self.metrics.registry)
        return Response(content, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _is_trial(request: Request) -> bool:
    value = request.query_params.get("validateOnly", "false")
    if value not in ("true", "false"):
        message = "validateOnly must be true or false."
        raise Problem(422, "invalid_parameter", message, "validateOnly")
    return value == "true"


HEALTHY = _json({"status": "ok"})  # whenever the process runs, whatever the database does
