"""The HTTP service: routes, requests and answers. What they mean is in the modules beside it."""

from __future__ import annotations

from typing import Any

import prometheus_client
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from collector.documentation import pages
from collector.endpoint import Endpoint, Observer, json_response
from collector.events import Intake
from collector.problems import Problem
from collector.segment_endpoint import SegmentEndpoint
from collector.settings import Settings
from collector.user_endpoints import UserEndpoints

CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["*"],  # tracing libraries add traceparent, baggage, sentry-trace
    "expose_headers": ["Link", "Location", "Retry-After"],
}


def create_app(settings: Settings) -> Router:
    """The ASGI application; it needs `settings.source_database_url`, migrated, but not yet up."""
    if not settings.source_database_url:
        raise ValueError("The collector needs SOURCE_DATABASE_URL or DATABASE_URL.")
    intake = Intake(settings)
    users, operations = UserEndpoints(intake), Operations(intake)
    index, openapi, page = pages(settings)
    middleware = [Middleware(Observer, intake.metrics, log=settings.log_requests == "on")]
    if origins := settings.cors_origins:
        middleware.insert(0, Middleware(CORSMiddleware, allow_origins=origins, **CORS))
    endpoints: list[tuple[str, ASGIApp, list[str]]] = [
        ("/events", Endpoint(intake.post_events), ["POST"]),
        ("/v1/{call}", Endpoint(SegmentEndpoint(intake).post_messages), ["POST"]),
        ("/users", Endpoint(users.users), ["GET", "POST"]),
        ("/users/{user_id:path}", Endpoint(users.get_one), ["GET"]),
        ("/key", Endpoint(operations.get_key), ["GET"]),
        ("/", index, ["GET"]),
        ("/healthz", json_response({"status": "ok"}), ["GET"]),  # whatever the database does
        ("/readyz", Endpoint(operations.readyz), ["GET"]),
        ("/metrics", Endpoint(operations.get_metrics), ["GET"]),
        ("/openapi.json", openapi, ["GET"]),
        ("/docs", page, ["GET"]),
    ]
    routes = [Route(path, endpoint, methods=methods) for path, endpoint, methods in endpoints]
    return Router(routes, lifespan=intake.running, middleware=middleware, redirect_slashes=False)


class Operations:
    """The endpoints by which a collector is watched."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.settings = intake.settings

    async def get_key(self, request: Request) -> Response:
        """Answers whose key the request came with."""
        key = self.intake.keys.authorize(request, None)
        self.intake.database.require()
        scopes = [key.scope] if key.scope else ["read", "write"]
        return json_response({"source": key.name, "scopes": scopes})

    async def readyz(self, _request: Request) -> Response:
        """Answers 200 where events can be stored: the database is there and migrated."""
        await self.intake.database.ready()
        self.intake.writer.require()
        slots = [
            {"slot": slot["slot_name"], "active": slot["active"], "lagBytes": slot["lag_bytes"]}
            for slot in self.intake.database.replication
        ]
        answer: dict[str, object] = {"status": "ready"}
        if newer := self.intake.database.newer_schema:
            answer["warning"] = newer
        if slots:
            answer["replication"] = slots
        return json_response(answer)

    async def get_metrics(self, request: Request) -> Response:
        """Answers what Prometheus scrapes: this process's, so not at an address of several."""
        if self.settings.workers > 1 and request.scope["server"][1] == self.settings.port:
            message = "Each process has its own metrics, at the ports after this one (WORKERS)."
            raise Problem(404, "metrics_by_process", message)
        metrics = self.intake.metrics
        metrics.held_bytes.set(self.intake.admission.used)
        metrics.database_up.set(self.intake.database.reachable)
        metrics.replication_lag.clear()
        for slot in self.intake.database.replication:
            metrics.replication_lag.labels(slot["slot_name"]).set(slot["lag_bytes"] or 0)
        metrics.oldest_transaction.set(self.intake.database.oldest_transaction_seconds)
        content = prometheus_client.generate_latest(metrics.registry)
        return Response(content, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)
