"""`POST /v1/{call}`: what Segment's SDKs send, whose key may be within the body."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from collector.body import Admission, Share, is_ndjson, read_body
from collector.contract import MessageReceipt
from collector.endpoint import is_trial, json_response
from collector.events import Intake
from collector.keys import Key
from collector.problems import Problem, try_again
from collector.segment_body import CALLS, read_messages, write_key_of
from collector.turns import in_turns

# What bodies whose key is within may have: one, and all that arrive at a time. Segment's limits are
# 32 kB a message and 500 kB a batch.
UNAUTHORIZED_BODY_BYTES = 1024 * 1024
UNAUTHORIZED_BYTES = 4 * UNAUTHORIZED_BODY_BYTES


class SegmentEndpoint:
    """Stores messages as events, and what identify calls say of users."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.settings = settings = intake.settings
        self.small = replace(
            settings,
            max_body_bytes=min(settings.max_body_bytes, UNAUTHORIZED_BODY_BYTES),
            max_inflated_bytes=min(settings.max_inflated_bytes, UNAUTHORIZED_BODY_BYTES),
        )
        self.unauthorized = Admission(UNAUTHORIZED_BYTES)

    async def post_messages(self, request: Request) -> Response:
        """Stores what an SDK of Segment sends, and answers 200 even if some of it is refused."""
        call = CALLS.get(request.path_params["call"])
        if call is None:
            raise Problem(404, "not_found", f"There is no such call; there are {', '.join(CALLS)}.")
        with Share(self.intake.admission) as share:
            key, body = await self._authorized(request, share)
            reading = read_messages(body, call, self.intake.supported, self.settings, share.take)
            del body
            received, updates = await in_turns(reading, share.size)
            rejected = await self.intake.store(request, received, key, f"/v1/{call}", share)
            stored = {event.position for event in received.events if event.is_counted}
            updates = [each for each in updates if each.position in stored]
            if updates and not is_trial(request):
                await self.intake.save_users(updates, key)
        return json_response(MessageReceipt(len(received.accepted), rejected))

    async def _authorized(self, request: Request, share: Share) -> tuple[Key, bytes]:
        """The write key and the body of a request; the body comes first where it has the key."""
        keys = self.intake.keys
        key = None if keys.needs_body(request) else keys.authorize(request, "write")
        self.intake.database.require()
        if is_ndjson(request):
            raise Problem(415, "unsupported_media_type", "Send application/json or text/plain.")
        if key:
            return key, await read_body(request, self.settings, share)
        body = await self._read_unauthorized(request)
        key = keys.authorize(request, "write", write_key_of(body))
        share.take(len(body))
        return key, body

    async def _read_unauthorized(self, request: Request) -> bytes:
        """The whole body of a client that is not known yet.

        Such bodies are small, and share an admission of their own, so that they cost nobody else
        anything. Where they are too many, the one that has taken longest gives way.
        """
        with Share(self.unauthorized) as share:
            try:
                async with asyncio.timeout(None) as deadline:
                    self.unauthorized.yielding[share] = deadline
                    return await read_body(request, self.small, share)
            except TimeoutError:
                reason = "Too many bodies arrive without a key"
                raise try_again(429, "overloaded", reason) from None
            finally:
                self.unauthorized.yielding.pop(share, None)
