"""The endpoints of users: who writes sees what it wrote, who reads sees what is stored."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collector.body import Share, is_ndjson, read_body
from collector.contract import UserReceipt, refusals
from collector.endpoint import is_trial, json_response
from collector.events import Intake
from collector.keys import Key
from collector.problems import Problem
from collector.settings import number
from collector.turns import in_turns
from collector.user_states import find_user, list_users
from collector.users import Update, answer_of, read_users
from collector.validation import read_user

USERS_PER_PAGE = 100
MAX_USERS_PER_PAGE = 1000
PIECE_BYTES = 64 * 1024  # of an answer, written once the one before is sent


class Counted(Response):
    """An answer in JSON whose bytes count until its client has read them."""

    def __init__(self, content: bytes, share: Share, headers: dict[str, str]) -> None:
        super().__init__(content, headers=headers, media_type="application/json")
        self.share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            for at in range(0, len(self.body), PIECE_BYTES):
                piece = bytes(self.body[at : at + PIECE_BYTES])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.share.give_back()


class UserEndpoints:
    """The endpoints and what they share with those of events."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.settings = intake.settings
        self.database = intake.database
        self.keys = intake.keys
        self.admission = intake.admission

    async def users(self, request: Request) -> Response:
        """Creates or updates a user (`POST`), or answers a page of them (`GET`)."""
        return await (self.post if request.method == "POST" else self.get_page)(request)

    async def post(self, request: Request) -> Response:
        """Stores a user and answers what the request said of it, or several, as for events."""
        key = self.keys.authorize(request, "write")
        if is_trial(request):  # storing it would be what was not asked for
            message = "Users cannot be tried without being stored; nothing was."
            raise Problem(422, "invalid_parameter", message, "validateOnly")
        self.database.require()
        lines = is_ndjson(request)
        with Share(self.admission) as share:
            body = await read_body(request, self.settings, share)
            if not lines and body.lstrip()[:1] != b"[":
                return await self._save_one(body, key)
            reading = read_users(body, self.settings, share.take, lines=lines)
            del body
            updates, refused = await in_turns(reading, share.size)
            saved, faults = await self.intake.save_users(updates, key)
        rejected = refusals([*refused.items(), *faults.items()])
        if not saved:
            message = "No user was accepted; rejected says why."
            raise Problem(422, "nothing_accepted", message, members={"rejected": rejected})
        user_ids = [saved[position].user_id for position in sorted(saved)]
        receipt = UserReceipt(len(saved), user_ids, rejected)
        return json_response(receipt)

    async def _save_one(self, body: bytes, key: Key) -> Response:
        update = Update.of(0, *read_user(body, self.settings))
        saved, refused = await self.intake.save_users([update], key)
        if refused:
            raise refused[0]
        user_id, is_new = saved[0]
        content = msgspec.json.encode(answer_of(update.payload, user_id))
        headers = {"Location": "/users/" + quote(user_id, safe="")} if is_new else None
        return Response(content, 201 if is_new else 200, headers, "application/json")

    async def get_page(self, request: Request) -> Response:
        """Answers a page of users, with a link (RFC 8288) to the next one where there is more."""
        self.keys.authorize(request, "read")
        after = request.query_params.get("after")
        limit = _limit(request.query_params.get("limit", str(USERS_PER_PAGE)))
        async with self.database.connect(self.database.users) as connection:
            states, last = await list_users(connection, after, limit)
        query = urlencode({"after": last, "limit": limit}) if last else ""
        headers = {"Link": f'</users?{query}>; rel="next"'} if last else {}
        return self._counted(b"[%b]" % b",".join(states), headers)

    async def get_one(self, request: Request) -> Response:
        """Answers the newest state of one user."""
        self.keys.authorize(request, "read")
        async with self.database.connect(self.database.users) as connection:
            state = await find_user(connection, request.path_params["user_id"])
        return self._counted(state, {})

    def _counted(self, content: bytes, headers: dict[str, str]) -> Response:
        share = Share(self.admission)
        share.take(len(content))
        return Counted(content, share, headers)


def _limit(text: str) -> int:
    try:
        return number(1, MAX_USERS_PER_PAGE)(text)
    except ValueError as rule:
        raise Problem(422, "invalid_parameter", f"limit must be {rule}.", "limit") from None
