"""Limits on heads and trailers, on time, on connections and on what queues in them.

uvicorn has none of these. What it keeps of a connection is bounded here, whether it sends too much,
too slowly, or does not read what it is answered.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from collector.lenient import LenientProtocol
from collector.problems import MEDIA_TYPE, Problem, try_again
from collector.settings import Settings

MAX_CONNECTIONS = 2000  # some 20 KiB each, and at worst a head
# Bytes of requests that wait for the answers before theirs (pipelining), of one connection and of
# all. What is sent beyond is not read, and the connection ends after the answers: clients send it
# again (RFC 9112, section 9.3.2).
MAX_PIPELINED, MAX_PIPELINED_IN_ALL = 256 * 1024, 4 * 1024 * 1024
REQUEST_BYTES = 2048  # what a request takes besides its text
BETWEEN, HEAD, BODY = range(3)


def limited_protocol(settings: Settings) -> type[LenientProtocol]:
    """uvicorn's protocol with the limits of `settings`."""
    limits = {
        "max_bytes": settings.max_header_bytes,
        "head_seconds": settings.header_timeout_seconds,
        "body_seconds": settings.body_timeout_seconds,
        "pipelined": [0],
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
        self.abort = transport.abort

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


class LimitedProtocol(LenientProtocol):
    """Answers 431 to a large head, 408 to a slow head or body, 503 to too many connections."""

    max_bytes: int
    head_seconds: int
    body_seconds: int
    pipelined: list[int]  # bytes of requests that wait, of all connections of this process
    _part = BETWEEN
    _received = 0  # bytes since the head began or, of a body, since the last of its content
    _pipelined = 0  # of this connection
    _is_deaf = False  # nothing more is read, and the connection ends after the answers
    _refusal: Problem | None = None
    _unread: asyncio.TimerHandle | None = None  # runs while the client does not read its answer
    _timer: asyncio.TimerHandle | None = None  # runs while some of a head or body is to come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=0)  # so that all that is not sent yet has a limit
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(try_again(503, "overloaded", "There are too many connections"))
        self._start_timer(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pipeline.clear()
        self._give_back()
        self._stop_timer()
        self.resume_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._part != BODY:
            self._part = HEAD  # even where it is only line ends so far
        self._received += len(data)
        super().data_received(data)
        if self._is_deaf:
            return
        if self._received > self.max_bytes and self._part != BETWEEN:
            self._refuse(self._too_large())
        elif self._part != BETWEEN:
            self._start_timer(self.head_seconds if self._part == HEAD else self.body_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._part != BODY:  # a field after the body, a trailer, is none of the head
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = HEAD

    def on_headers_complete(self) -> None:
        waits = self._is_answering()
        if waits or self._received > self.max_bytes:  # maybe with some of the body
            fields = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if len(self.url) + fields > self.max_bytes:
                self._stop(self._too_large())
            if waits:
                self._queue(REQUEST_BYTES + len(self.url) + fields)
        super().on_headers_complete()
        self._part, self._received = BODY, 0
        self._stop_timer()

    def on_body(self, body: bytes) -> None:
        self._received = 0
        if self.pipeline:
            self._queue(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._part, self._received = BETWEEN, 0
        self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline:
            self._give_back()
        if self._part == BODY:  # answered without it: the rest has as long as a head
            self._stop_timer()
            self._start_timer(self.head_seconds)

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for whatever stops its parser."""
        self._refuse(self._refusal or Problem(400, "malformed_request", msg))

    def _too_large(self) -> Problem:
        message = f"The request line and headers may have {self.max_bytes} bytes, trailers too."
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
        if not self._is_deaf:
            self.transport.close()

    def _is_answering(self) -> bool:
        """Whether the answer to an earlier request is still to come."""
        return self.cycle is not None and not self.cycle.response_complete

    def _queue(self, size: int) -> None:
        """Counts the bytes of a request that has to wait; stops the parser at too many."""
        self._pipelined += size
        self.pipelined[0] += size
        if self._pipelined > MAX_PIPELINED or self.pipelined[0] > MAX_PIPELINED_IN_ALL:
            self._stop(try_again(503, "overloaded", "Too many requests wait in one connection"))

    def _give_back(self) -> None:
        self.pipelined[0] -= self._pipelined
        self._pipelined = 0

    def _stop(self, problem: Problem) -> NoReturn:
        self._refusal = problem
        raise problem  # stops the parser

    def _refuse(self, problem: Problem) -> None:
        """Answers and closes. An answer that is still to come is not overtaken."""
        if self.transport.is_closing():
            return
        if self._part == HEAD and self._is_answering():  # that one comes, and is the last
            self._is_deaf = True
            self.cycle.keep_alive = False
            self._stop_timer()
            return
        if self._part == BODY and (self.pipeline or self.cycle.response_complete):
            self.transport.close()
            return
        body = msgspec.json.encode(problem.body())
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": len(body), "Connection": "close"}
        fields = {**headers, **(problem.headers or {})}.items()
        lines = [f"{name}: {value}\r\n".encode() for name, value in fields]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body]))
        self.transport.close()
