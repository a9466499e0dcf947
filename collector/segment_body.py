"""What Segment's SDKs send in a body: a message or a batch of them, and maybe the key. No I/O."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from collector.json_text import (
    NOT_JSON,
    NULL,
    OBJECT,
    Fields,
    decoded,
    elements_of,
    json_problem,
    read_each,
)
from collector.problems import Problem
from collector.segment import EVENT_TYPES, TEXT, read_message, renamed
from collector.settings import Settings
from collector.users import Update
from collector.validation import SUGGESTIONS, Event, Received

# By the last part of the path: browsers send to /v1/t, /v1/b and so on.
CALLS = {name: name for name in ("batch", *EVENT_TYPES)}
CALLS |= {name[0]: name for name in CALLS}
MAX_PYTHON_BYTES = 512 * 1024  # Python's SDK sends 500 kB at most
_KEY = re.compile(rb'"writeKey"\s*:\s*"([!#-\[\]-~]*)"')


class KeyField(Struct, gc=False, rename="camel"):
    """Where an SDK that authenticates by its body has its key."""

    write_key: Raw = NULL


_key_field = Decoder(KeyField)


def write_key_of(body: bytes) -> str:
    """The key in a body, empty where there is none; nothing else of the body is looked at."""
    try:
        return decoded(TEXT, _key_field.decode(body).write_key) or ""
    except NOT_JSON:  # as Python's SDK sends it, maybe
        named = _KEY.search(body)
        return named[1].decode() if named else ""


def read_messages(
    body: bytes,
    call: str,
    supported: frozenset[str],
    settings: Settings,
    take: Callable[[int], None],
) -> Generator[None, None, tuple[Received, list[Update]]]:
    """Reads the message of a call, or those of a batch; yields often.

    Beside the events is what identify calls say of users, by the positions of their events. A bad
    message is refused alone. `take` counts the bytes of what is common to a batch, which each of
    its messages has a copy of, before they are made. Raises `Problem` where the body is not a JSON
    object, or a batch not an array of at most `settings.max_events` messages, or where the copies
    are larger than a body may be.
    """
    common, texts = yield from _opened(body, call, settings.max_events)
    common.pop("writeKey", None)  # a credential is not kept
    if call != "batch":
        common, texts = {}, [encode(common)]
    copies = len(texts) * len(encode(common)) if common else 0
    if copies > settings.max_body_bytes:
        reason = "What a batch says of all its messages counts in each of them, and is too large."
        raise Problem(413, "body_too_large", reason)
    take(copies)
    del body
    received, updates = Received([], [], call != "batch"), list[Update]()
    made = os.urandom(16).hex()  # starts eventIds of those without
    sent = b""

    def read(position: int, text: bytes) -> None:
        nonlocal sent
        sent = text
        message = _merged(common, text)
        sent = encode(message)
        suggest = len(received.rejections) < SUGGESTIONS
        event_id, payload, user = read_message(call, message, supported, settings, suggest=suggest)
        received.events.append(Event(position, event_id or f"{made}-{position}", payload))
        if user:
            updates.append(Update.of(position, *user))

    def refuse(position: int, problem: Problem, _text: bytes) -> None:
        received.refuse(position, renamed(problem), sent)

    texts.reverse()
    yield from read_each((texts.pop() for _ in range(len(texts))), read, refuse)
    return received, updates


def _opened(
    body: bytes, call: str, max_events: int
) -> Generator[None, None, tuple[Fields, list[bytes]]]:
    """The fields of a body, without those of its batch, and the messages of that."""
    try:
        fields = OBJECT.decode(body)
        batch = bytes(fields.pop("batch", NULL)) if call == "batch" else b"[]"
        encode(fields).decode()  # the other texts are looked at one by one
        if not batch.startswith(b"["):
            raise Problem(400, "malformed_batch", "A batch needs an array, batch.", "batch")
        texts = yield from elements_of(batch, max_events)
    except NOT_JSON as error:
        found = _opened_by_python(body) if call == "batch" else None
        if found is None:
            raise json_problem(error, body) from None
        fields, texts = found
    if len(texts) > max_events:
        message = f"A batch may have {max_events} messages at most; send several."
        raise Problem(413, "too_many_events", message)
    return fields, texts


def _opened_by_python(body: bytes) -> tuple[Fields, list[bytes]] | None:
    r"""As `_opened`, by the JSON of Python's SDK, which may have NaN or half a surrogate pair.

    None where it is not even that. The messages come out as they went in, to be refused alone.
    """
    try:
        fields: dict[str, Any] = json.loads(body) if len(body) <= MAX_PYTHON_BYTES else {}
        texts = [json.dumps(message).encode() for message in fields.pop("batch")]
        return {name: Raw(json.dumps(each).encode()) for name, each in fields.items()}, texts
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _merged(common: Fields, text: bytes) -> Fields:
    """A message with what its batch says of all; raises `Problem` where it is no object."""
    try:
        message = OBJECT.decode(text)
    except NOT_JSON as error:
        raise json_problem(error, text) from None
    message.pop("writeKey", None)  # a credential is not kept
    for name, value in common.items():
        both = [decoded(OBJECT, each) for each in (value, message.get(name))]
        if both[0] and both[1]:
            message[name] = Raw(encode(both[0] | both[1]))
        elif message.get(name, NULL) == NULL:
            message[name] = value
    return message
