"""Events on their way in: `POST /events`, and what all that stores events or users shares."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from collector.body import Admission, Share, is_ndjson, read_body
from collector.contract import Receipt, Rejected, refusals
from collector.database import Database
from collector.endpoint import is_trial, json_response
from collector.keys import Key
from collector.left_out import LeftOut
from collector.metrics import Metrics
from collector.problems import Problem
from collector.registry import supported_event_types
from collector.settings import Settings
from collector.turns import in_turns
from collector.users import Saved, Update, save_users
from collector.validation import Received, read_events
from collector.writer import Writer

EVENT_BYTES = 512  # what an event takes in memory besides its text

logger = logging.getLogger("collector")


class Intake:
    """Stores events. The other endpoints have what it opens, for as long as it runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supported = supported_event_types()
        self.metrics = Metrics()
        self.database = Database(settings)
        self.keys = self.database.keys
        self.admission = Admission(settings.max_waiting_bytes)
        self.left_out = LeftOut(settings, self.database)
        self.writer = Writer(self.database, self.metrics)

    @asynccontextmanager
    async def running(self, _app: object) -> AsyncIterator[None]:
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
            rejected = await self.store(request, received, key, "/events", share)
        if accepted := received.accepted:
            event_ids = [event.event_id for event in accepted]
            return json_response(Receipt(len(event_ids), event_ids, rejected))
        if received.single:
            raise received.rejections[0].problem
        message = "No event was accepted; rejected says why."
        raise Problem(422, "nothing_accepted", message, members={"rejected": rejected})

    async def store(
        self, request: Request, received: Received, key: Key, route: str, share: Share
    ) -> list[Rejected]:
        """Commits and counts events, or tries them; returns the rejections as an answer does."""
        share.take(EVENT_BYTES * (len(received.events) + len(received.rejections)))
        if is_trial(request):
            await self.writer.check(received)
        else:
            await self.left_out.sort(request, received)
            await self.writer.write(received, key, route, share.size)
            request.scope["received"] = received
            self.metrics.accepted(key.name).inc(len(received.events))
            if received.left_out:
                self.metrics.left_out(key.name).inc(len(received.left_out))
            for rejection in received.rejections:
                self.metrics.rejected(rejection.problem.code).inc()
        return refusals((each.position, each.problem) for each in received.rejections)

    async def save_users(
        self, updates: Sequence[Update], key: Key
    ) -> tuple[dict[int, Saved], dict[int, Problem]]:
        """Stores all users but those that are left out, which seem to be stored.

        Returns by position whom the updates went to, and why others cannot be stored.
        """
        async with self.database.connect(self.database.users) as connection:
            kept, seeming = await self.left_out.sort_users(connection, updates)
            saved, refused = await save_users(connection, kept, key)
        return saved | seeming, refused
