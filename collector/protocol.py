"""Limits on the head of a request, on time and on connections, which uvicorn does not have."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from collector.problems import MEDIA_TYPE, Problem, try_again
from collector.settings import Settings

MAX_CONNECTIONS = 2000  # some 20 KiB each, and at worst a head
BETWEEN, HEAD, BODY = range(3)


def limited_protocol(settings: Settings) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with the limits of `settings`."""
    limits = {
        "max_bytes": settings.max_header_bytes,
        "head_seconds": settings.header_timeout_seconds,
        "body_seconds": settings.body_timeout_seconds,
    }
    return type("Limited", (LimitedProtocol,), limits)


class Joined:
    """A transport that sends in one piece what is written in one turn of the event loop.

    uvicorn writes the head and the body of an answer apart, and uvloop sends each at once.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._pieces: list[bytes] = []
        self._transport = transport
        self._call_soon = loop.call_soon
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._pieces and not self.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()


class LimitedProtocol(HttpToolsProtocol):
    """Answers 431 to a large head, 408 to a slow head or body, 503 to too many connections."""

    max_bytes: int
    head_seconds: int
    body_seconds: int
    _part = BETWEEN
    _received = 0  # bytes since the head began
    _refusal: Problem | None = None
    _timer: asyncio.TimerHandle | None = None  # runs while some of a head or body is to come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))
        self._connection: dict[str, Any] = {}
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(try_again(503, "overloaded", "There are too many connections"))
        self._start_timer(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        if self._part != BODY:
            self._part = HEAD  # even where it is only line ends so far
            self._received += len(data)
        super().data_received(data)
        if self._part == HEAD:
            self._start_timer(self.head_seconds)
            if self._received > self.max_bytes:
                self._refuse(self._too_large())
        elif self._part == BODY:
            self._start_timer(self.body_seconds)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["headwater.connection"] = self._connection  # type: ignore[typeddict-unknown-key]
        self._part = HEAD

    def on_headers_complete(self) -> None:
        if self._received > self.max_bytes:  # maybe with some of the body
            fields = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if len(self.url) + fields > self.max_bytes:
                self._refusal = self._too_large()
                raise self._refusal  # stops the parser
        super().on_headers_complete()
        self._part = BODY
        self._stop_timer()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._part, self._received = BETWEEN, 0
        self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._part == BODY:  # answered without it: the rest has as long as a head
            self._stop_timer()
            self._start_timer(self.head_seconds)

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for whatever stops its parser."""
        self._refuse(self._refusal or Problem(400, "malformed_request", msg))

    def _too_large(self) -> Problem:
        message = f"The request line and headers may have {self.max_bytes} bytes at most."
        return Problem(431, "headers_too_large", message)

    def _start_timer(self, seconds: int) -> None:
        if not self._timer:
            self._timer = self.loop.call_later(seconds, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        if self._part == HEAD:
            message = f"The headers must arrive within {self.head_seconds} seconds."
            self._refuse(Problem(408, "too_slow", message))
        elif self._part == BODY and not self.cycle.response_complete:
            message = f"The body must arrive within {self.body_seconds} seconds."
            self._refuse(Problem(408, "too_slow", message))
        self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(problem.body())
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": len(body), "Connection": "close"}
        fields = {**headers, **(problem.headers or {})}.items()
        lines = [f"{name}: {value}\r\n".encode() for name, value in fields]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body]))
        self.transport.close()
