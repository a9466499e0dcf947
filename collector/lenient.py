"""HTTP as clients speak it: offers of other protocols, and connections closed on one side."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HOP_BY_HOP = (b"connection", b"upgrade", b"http2-settings")


class LenientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which answers a half-closed client and takes no offer to upgrade.

    `connection` is for what the application wants to keep as long as the connection is there.
    """

    connection: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connection = {}
        self.parser = Parser(self)  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        parser = self.parser
        super().connection_lost(exc)
        vars(parser).clear()  # so that nothing waits for the garbage collector

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["headwater.connection"] = self.connection  # type: ignore[typeddict-unknown-key]

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection until a client that is done with sending has all its answers."""
        last = self.cycle  # of those begun; answers come in the order of the requests
        if last is None or last.response_complete or last.more_body:
            return False
        last.keep_alive = False
        return True


class Parser:
    """httptools' parser without upgrades: a server may ignore the offer (RFC 9110, section 7.8).

    httptools takes what follows the head for the other protocol, and drops the body. Here the
    head is parsed again without the offer, and the body after it.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._offered = False
        for name in ("on_message_begin", "on_url", "on_header", "on_body"):
            setattr(self, name, getattr(protocol, name))
        self._begin()

    def _begin(self) -> None:
        self._parser = parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
        self.should_keep_alive = parser.should_keep_alive
        self.should_upgrade = parser.should_upgrade
        self.get_method = parser.get_method
        self.get_http_version = parser.get_http_version

    def feed_data(self, data: bytes) -> None:
        """Parses data; raises httptools.HttpParserError where it is not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not self._offered:
                raise
            self._offered = False
            head = self._head()
            self._begin()
            self.feed_data(head + data[offer.args[0] :])

    def on_headers_complete(self) -> None:
        """httptools' call, not passed on where there will be another one."""
        self._offered = self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT"
        if not self._offered:
            self._protocol.on_headers_complete()

    def on_message_complete(self) -> None:
        """httptools' call; what is offered an upgrade is not complete."""
        if not self._offered:
            self._protocol.on_message_complete()

    def _head(self) -> bytes:
        """The head of the request without the offer."""
        tokens = [
            token.strip()
            for name, value in self._protocol.headers
            if name == b"connection"
            for token in value.split(b",")
        ]
        kept = [token for token in tokens if token.lower() not in _HOP_BY_HOP]
        fields = [field for field in self._protocol.headers if field[0] not in _HOP_BY_HOP]
        if kept:
            fields.append((b"connection", b", ".join(kept)))
        version = self._parser.get_http_version().encode()
        line = b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._protocol.url, version)
        return line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
