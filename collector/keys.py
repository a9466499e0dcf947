"""API keys: who may send and who may read. Known by hash, cached so that an outage changes nothing.

The key's name is the source of what is sent with it. Credentials come as RFC 6750's Bearer token or
as the user name of RFC 7617's Basic, which is how Segment's SDKs send theirs, or in the body.
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
from collector.problems import Problem, try_again

Scope = Literal["read", "write"]

_KEYS = "select key_id, name, scope, key_hash, revoked_at is not null as revoked from raw.api_keys"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="headwater", Basic realm="headwater"'}
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")

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

    def __init__(self) -> None:
        self._keys: dict[bytes, Key] | None = None  # not loaded yet

    async def refresh(self, connection: AsyncConnection) -> None:
        """Loads the keys; raises psycopg.Error, keeping those it has, where that fails."""
        async with connection.cursor(row_factory=class_row(Key)) as cursor:
            rows = await (await cursor.execute(_KEYS)).fetchall()
        if not rows and self._keys is None:
            logger.warning(
                "No API key is configured: only clients on this machine are served, all of them. "
                "Create keys with: scripts/keys create NAME --scope write"
            )
        self._keys = {row.key_hash: row for row in rows}

    def authorize(self, request: Request, scope: Scope | None, in_body: str = "") -> Key:
        """The key of a request; raises `Problem` where it has none that is good for `scope`.

        One in the body counts where there is none in the headers.
        """
        if self._keys is None:
            raise try_again(503, "storage_unavailable", "The API keys cannot be read yet")
        if not self._keys:
            if _is_local(request):
                request.scope["source"] = LOCAL.name
                return LOCAL
            message = "No API key is configured; create one with scripts/keys create."
            raise Problem(401, "no_key_configured", message, headers=_CHALLENGE)
        credential = _credential(header(request, b"authorization")) or in_body.encode()
        digest = sha256(credential).digest()
        key = self._keys.get(digest)
        if key is None or key.revoked or not hmac.compare_digest(key.key_hash, digest):
            message = "Send a valid API key: Authorization: Bearer KEY, or as Basic user name."
            raise Problem(401, "invalid_key", message, headers=_CHALLENGE)
        request.scope["source"] = key.name
        if scope and key.scope != scope:
            raise Problem(403, "wrong_scope", f"This key may only {key.scope}, not {scope}.")
        return key


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


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine; a proxy on it speaks for clients elsewhere."""
    names = dict(request.scope["headers"])
    proxied = b"x-forwarded-for" in names or b"forwarded" in names  # even where they are empty
    client = request.scope["client"]
    return client is not None and client[0] in LOOPBACK and not proxied
