"""The HTTP service: routes, requests and answers. What they mean is in the modules beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import prometheus_client
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from collector.body import (
    UNAUTHORIZED_BYTES,
    Admission,
    Share,
    is_ndjson,
    read_body,
    read_unauthorized,
)
from collector.contract import MessageReceipt, Receipt, Rejected, refusals
from collector.database import Database
from collector.documentation import pages
from collector.endpoint import Endpoint, Observer, is_trial
from collector.keys import Key
from collector.metrics import Metrics
from collector.problems import Problem
from collector.registry import supported_event_types
from collector.segment_body import CALLS, read_messages, write_key_of
from collector.settings import Settings
from collector.turns import in_turns
from collector.user_endpoints import UserEndpoints
from collector.users import Update, save_users
from collector.validation import Received, read_events
from collector.writer import Writer

EVENT_BYTES = 512  # what an event takes in memory besides its text
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["*"],  # tracing libraries add traceparent, baggage, sentry-trace
    "expose_headers": ["Link", "Location", "Retry-After"],
}

logger = logging.getLogger("collector")


def create_app(settings: Settings) -> Router:
    """The ASGI application; it needs `settings.source_database_url`, migrated, but not yet up."""
    if not settings.source_database_url:
        raise ValueError("The collector needs SOURCE_DATABASE_URL or DATABASE_URL.")
    collector = Collector(settings)
    users = UserEndpoints(settings, collector.database, collector.admission)
    index, openapi, page = pages(settings)
    middleware = [Middleware(Observer, collector.metrics, log=settings.log_requests == "on")]
    if origins := settings.cors_origins:
        middleware.insert(0, Middleware(CORSMiddleware, allow_origins=origins, **CORS))
    endpoints: list[tuple[str, ASGIApp, list[str]]] = [
        ("/events", Endpoint(collector.post_events), ["POST"]),
        ("/v1/{call}", Endpoint(collector.post_messages), ["POST"]),
        ("/users", Endpoint(users.users), ["GET", "POST"]),
        ("/users/{user_id:path}", Endpoint(users.get_one), ["GET"]),
        ("/key", Endpoint(collector.get_key), ["GET"]),
        ("/", index, ["GET"]),
        ("/healthz", HEALTHY, ["GET"]),
        ("/readyz", Endpoint(collector.readyz), ["GET"]),
        ("/metrics", Endpoint(collector.get_metrics), ["GET"]),
        ("/openapi.json", openapi, ["GET"]),
        ("/docs", page, ["GET"]),
    ]
    routes = [Route(path, endpoint, methods=methods) for path, endpoint, methods in endpoints]
    return Router(
        routes, lifespan=collector.lifespan, middleware=middleware, redirect_slashes=False
    )


class Collector:
    """The endpoints and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supported = supported_event_types()
        self.metrics = Metrics()
        self.database = Database(settings)
        self.keys = self.database.keys
        self.admission = Admission(settings.max_waiting_bytes)
        self.unauthorized = Admission(UNAUTHORIZED_BYTES)
        self.writer = Writer(self.database, self.metrics)

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
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
            body = await read_body(request, self.settings, share)
            reading = read_events(body, self.supported, self.settings, lines=lines)
            del body
            received = await in_turns(reading, share.size)
            rejected = await self._store(request, received, key, "/events", share)
        if received.events:
            event_ids = [event.event_id for event in received.events]
            return _json(Receipt(len(event_ids), event_ids, rejected))
        if received.single:
            raise received.rejections[0].problem
        message = "No event was accepted; rejected says why."
        raise Problem(422, "nothing_accepted", message, members={"rejected": rejected})

    async def post_messages(self, request: Request) -> Response:
        """Stores what an SDK of Segment sends, and answers 200 even if some of it is refused."""
        call = CALLS.get(request.path_params["call"])
        if call is None:
            raise Problem(404, "not_found", f"There is no such call; there are {', '.join(CALLS)}.")
        with Share(self.admission) as share:
            key, body = await self._authorized(request, share)
            reading = read_messages(body, call, self.supported, self.settings, share.take)
            del body
            messages = await in_turns(reading, share.size)
            received = messages.received
            rejected = await self._store(request, received, key, f"/v1/{call}", share)
            stored = {event.position for event in received.events}
            users = [each for each in messages.identified if each.position in stored]
            if users and not is_trial(request):
                async with self.database.connect(self.database.users) as connection:
                    await save_users(connection, [Update.of(*each) for each in users], key)
        return _json(MessageReceipt(len(received.events), rejected))

    async def _authorized(self, request: Request, share: Share) -> tuple[Key, bytes]:
        """The write key and the body of a request; the body comes first where it has the key."""
        key = None if self.keys.needs_body(request) else self.keys.authorize(request, "write")
        self.database.require()
        if is_ndjson(request):
            raise Problem(415, "unsupported_media_type", "Send application/json or text/plain.")
        if key:
            return key, await read_body(request, self.settings, share)
        body = await read_unauthorized(request, self.settings, self.unauthorized)
        key = self.keys.authorize(request, "write", write_key_of(body))
        share.take(len(body))
        return key, body

    async def _store(
        self, request: Request, received: Received, key: Key, route: str, share: Share
    ) -> list[Rejected]:
        """Commits and counts events, or tries them; returns the rejections as an answer does."""
        share.take(EVENT_BYTES * (len(received.events) + len(received.rejections)))
        if is_trial(request):
            await self.writer.check(received)
        else:
            await self.writer.write(received, key, route, share.size)
            request.scope["received"] = received
            self.metrics.accepted(key.name).inc(len(received.events))
            for rejection in received.rejections:
                self.metrics.rejected(rejection.problem.code).inc()
        return refusals((each.position, each.problem) for each in received.rejections)

    async def get_key(self, request: Request) -> Response:
        """Answers whose key the request came with."""
        key = self.keys.authorize(request, None)
        self.database.require()
        return _json(
            {"source": key.name, "scopes": [key.scope] if key.scope else ["read", "write"]}
        )

    async def readyz(self, _request: Request) -> Response:
        """Answers 200 where events can be stored: the database is there and migrated."""
        await self.database.ready()
        self.writer.require()
        slots = [
            {"slot": slot["slot_name"], "active": slot["active"], "lagBytes": slot["lag_bytes"]}
            for slot in self.database.replication
        ]
        answer: dict[str, object] = {"status": "ready"}
        if newer := self.database.newer_schema:
            answer["warning"] = newer
        if slots:
            answer["replication"] = slots
        return _json(answer)

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


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


HEALTHY = _json({"status": "ok"})  # whenever the process runs, whatever the database does
