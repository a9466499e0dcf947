"""A good client under load, a process of its own: it sends events again until acknowledged.

`python -m tests.faults.client URL LEDGER SEED` sends events over and over and notes in LEDGER, one
JSON object a line, what it sent and what came back. When its standard input ends it sends no new
events, and exits when all that it sent are acknowledged.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

SENDERS = 16
EVENTS_A_REQUEST = (1, 1, 1, 2, 5, 20)
PAUSE_SECONDS = 0.01  # of a sender between two requests: some thousand events a second in all
TIMEOUT_SECONDS = 10
GIVE_UP_SECONDS = 60  # after the end of the standard input


class Notes:
    """The ledger's file; each note is one line, written whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = Lock()

    def add(self, **note: Any) -> None:  # noqa: ANN401
        line = json.dumps(note) + "\n"
        with self._lock:
            self._file.write(line)


class Sender(Thread):
    """One connection that sends a request, waits for the answer, and sends the next one."""

    def __init__(self, url: str, notes: Notes, stop: Event, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self._notes = notes
        self._stop_sending = stop
        self._random = Random(name)
        self._number = 0

    def run(self) -> None:
        while not self._stop_sending.is_set():
            events = [self._event() for _ in range(self._random.choice(EVENTS_A_REQUEST))]
            self._notes.add(sent=[event["eventId"] for event in events])
            body = json.dumps(events[0] if len(events) == 1 else events)
            while not self._is_acknowledged(body):
                pass
            time.sleep(PAUSE_SECONDS)

    def _event(self) -> dict[str, Any]:
        self._number += 1
        return {
            "eventId": f"{self.name}-{self._number}",
            "eventType": "page_viewed",
            "userId": self._random.randrange(1, 1000),
            "activity": {"path": "/", "number": self._number},
        }

    def _is_acknowledged(self, body: str) -> bool:
        began = time.monotonic()
        try:
            self._connection.request("POST", "/events", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            self._notes.add(began=began, ended=time.monotonic(), status=0, code=repr(error))
            time.sleep(self._random.uniform(0, 0.1))
            return False
        retry_after = answer.headers["Retry-After"]
        is_json = answer.headers.get_content_subtype().endswith("json")
        told = json.loads(content) if is_json else {}
        self._notes.add(
            began=began,
            ended=time.monotonic(),
            status=answer.status,
            acknowledged=told["eventIds"] if answer.status == 200 else [],
            code=told.get("code"),
            retry_after=retry_after,
        )
        if answer.status == 200:
            return True
        time.sleep(int(retry_after or 1))
        return False


def leave(url: str, event: dict[str, Any], random: Random) -> None:
    """Sends a part of a request, or all of it, and closes the connection without an answer."""
    address = urlsplit(url)
    body = json.dumps(event).encode()
    head = f"POST /events HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        size = random.choice((len(body), random.randrange(len(body))))
        connection.sendall(head.encode() + body[:size])
        time.sleep(random.choice((0, 0.01)))
        if random.random() < 0.5:  # a reset instead of an orderly end
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def main() -> int:
    """Sends until the standard input ends; exits with 1 where something stays unacknowledged."""
    url, path, seed = sys.argv[1:]
    stop = Event()
    notes = Notes(Path(path))
    senders = [Sender(url, notes, stop, f"{seed}-{number}") for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    sys.stdin.read()
    stop.set()
    deadline = time.monotonic() + GIVE_UP_SECONDS
    for sender in senders:
        sender.join(max(0, deadline - time.monotonic()))
    return int(any(sender.is_alive() for sender in senders))


if __name__ == "__main__":
    sys.exit(main())
