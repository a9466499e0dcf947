"""API keys: who may send and who may read. Known by hash, cached so that an outage changes nothing.

The key's name is the source of what is sent with it. Credentials come as RFC 6750's Bearer token or
as the user name of RFC 7617's Basic, which is how Segment's SDKs send theirs, or in the body. A
write key may be in the query, since a page's sendBeacon() can send no headers.
"""

from __future__ import annotations

import hmac
import logging
from base64 import b64decode
from hashlib import sha256
from typing import Literal, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import class_row
from starlette.requests import Request

from collector.body import header
from collector.local import stranger
from collector.problems import Problem, try_again
from collector.settings import Settings

Scope = Literal["read", "write"]

_KEYS = "select key_id, name, scope, key_hash, revoked_at is not null as revoked from raw.api_keys"
_OWN = "Without one only this user's programs on this machine are served, and this request {}."
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="headwater", Basic realm="headwater"'}

logger = logging.getLogger("collector")


class Key(NamedTuple):
    """A key as the database has it; one without an id stands for a local client."""

    key_id: int | None
    name: str
    scope: str
    key_hash: bytes
    revoked: bool


LOCAL = Key(None, "default", "", b"", revoked=False)


class Keys:
    """The keys of this moment: `refresh` loads them, `authorize` asks them."""

    def __init__(self, settings: Settings) -> None:
        self._hosts, self._origins = settings.allowed_hosts, settings.cors_origins
        self._keys: dict[bytes, Key] | None = None  # not loaded yet

    async def refresh(self, connection: AsyncConnection) -> None:
        """Loads the keys; raises psycopg.Error, keeping those it has, where that fails."""
        async with connection.cursor(row_factory=class_row(Key)) as cursor:
            rows = await (await cursor.execute(_KEYS)).fetchall()
        if not rows and self._keys is None:
            logger.warning(
                "No API key is configured: only this user's programs on this machine are served. "
                "Create keys with: scripts/keys create NAME --scope write"
            )
        self._keys = {row.key_hash: row for row in rows}

    def needs_body(self, request: Request) -> bool:
        """Whether only the body of a request can have its key."""
        return bool(self._keys) and not _credential(header(request, b"authorization"))

    def authorize(self, request: Request, scope: Scope, in_body: str = "") -> Key:
        """The key of a request; raises `Problem` where it has none that is good for `scope`.

        One in the body counts where there is none in the headers, one in the query where there is
        no other.
        """
        if self._keys is None:
            raise try_again(503, "storage_unavailable", "The API keys cannot be read yet")
        if not self._keys:
            if reason := stranger(request, self._hosts, self._origins):
                message = f"No API key is configured; create one with scripts/keys create. {_OWN}"
                raise Problem(401, "no_key_configured", message.format(reason), headers=_CHALLENGE)
            request.scope["source"] = LOCAL.name
            return LOCAL
        credential = (
            _credential(header(request, b"authorization"))
            or in_body.encode()
            or (_in_query(request) if scope == "write" else b"")
        )
        digest = sha256(credential).digest()
        key = self._keys.get(digest)
        if key is None or key.revoked or not hmac.compare_digest(key.key_hash, digest):
            message = "Send a valid API key: Authorization: Bearer KEY, or as Basic user name."
            raise Problem(401, "invalid_key", message, headers=_CHALLENGE)
        request.scope["source"] = key.name
        if key.scope != scope:
            raise Problem(403, "wrong_scope", f"This key may only {key.scope}, not {scope}.")
        return key


def _in_query(request: Request) -> bytes:
    if b"writeKey=" not in request.scope["query_string"]:  # which costs nothing
        return b""
    return request.query_params.get("writeKey", "").encode()


def _credential(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip().encode("latin-1")
        case "basic":
            try:
                return b64decode(value, validate=True).partition(b":")[0]
            except ValueError:
                return b""
    return b""
