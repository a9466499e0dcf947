"""JSON as text: the elements of an array, and what makes a text too costly to keep. No I/O."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from functools import cache
from itertools import accumulate, islice
from typing import Any, TypeVar

from msgspec import DecodeError, Raw, ValidationError, defstruct
from msgspec.json import Decoder
from msgspec.structs import astuple

from collector.problems import Problem
from collector.turns import STEP_BYTES

MAX_DEPTH = 64
# Of a number, its sign and point included, and of what its exponent adds: more than any double
# needs, of which 4.9406564584124654e-324 needs most.
MAX_DIGITS = 400
NOT_JSON = (DecodeError, UnicodeDecodeError, RecursionError)

Fields = dict[str, Raw]  # the members of an object, each as it was written
OBJECT, NULL = Decoder(Fields), Raw(b"null")
_Value = TypeVar("_Value")
_anything = Decoder(Raw)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # up 1, down 1, as signed bytes
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# What a text looks like to whom only numbers matter: 0 is a part of one, : where one may start.
_SHAPES = {b"0123456789.-": b"0", b"eE": b"e", b"[:, \t\r\n": b":"}
_SHAPE = bytes(
    next((shape[0] for characters, shape in _SHAPES.items() if each in characters), ord("x"))
    for each in range(256)
)
_LINES = re.compile(rb"\S[^\n]*")
_TOO_LONG = b"0" * (MAX_DIGITS + 1)
_EXPONENT = re.compile(rb"[eE][+-]?[0-9]+")
# In texts an e after a digit is common, as in a UUID, but seldom where a number may start.
_NUMBER_WITH_EXPONENT = re.compile(rb":00*+e")


@cache
def _array_decoder(count: int) -> Decoder[Any]:
    """Decodes the first `count` elements of an array and checks the others without keeping them.

    Four megabytes are two million elements at worst: as a list they would take 200 MB.
    """
    fields = [(f"element_{position}", Raw, None) for position in range(count)]
    return Decoder(defstruct("Elements", fields, array_like=True, gc=False))


def elements_of(body: bytes, max_events: int) -> Generator[None, None, list[bytes]]:
    """The elements of an array, at most one more than allowed; raises `Problem` if not JSON.

    Yields now and then.
    """
    texts: list[bytes] = []
    size = 0
    try:
        for element in astuple(_array_decoder(max_events + 1).decode(body)):
            if element is None:
                break
            text = bytes(element)
            text.decode()
            texts.append(text)
            size += len(text)
            if size > STEP_BYTES:
                size = 0
                yield
    except NOT_JSON as error:
        raise json_problem(error, body) from None
    return texts


def texts_of(
    body: bytes, limit: int, what: str, *, lines: bool
) -> Generator[None, None, list[bytes]]:
    """The elements of an array or, with `lines`, what each line has (NDJSON); yields now and then.

    Raises `Problem` where the body is neither, or has more of `what` than the limit.
    """
    if lines:
        texts = [found[0] for found in islice(_LINES.finditer(body), limit + 1)]
    else:
        texts = yield from elements_of(body, limit)
    if len(texts) > limit:
        message = f"A request may have {limit} {what} at most; send several."
        raise Problem(413, "too_many_users" if what == "users" else "too_many_events", message)
    return texts


def read_each(
    texts: Iterable[bytes],
    read: Callable[[int, bytes], None],
    refuse: Callable[[int, Problem, bytes], None],
) -> Generator[None, None, None]:
    """Reads texts one by one, by their positions; yields often. A bad one is refused alone."""
    size = 0
    for position, text in enumerate(texts):
        size += len(text)
        if size > STEP_BYTES:
            size = 0
            yield
        try:
            read(position, text)
        except Problem as problem:
            problem.__traceback__ = problem.__context__ = None  # they hold on to all that was read
            refuse(position, problem, text)


def decoded(decoder: Decoder[_Value], text: Raw | None) -> _Value | None:
    """The value of a text, or None where it is missing or of another type."""
    try:
        return None if text is None else decoder.decode(text)
    except DecodeError:
        return None


def check_cost(text: bytes, max_bytes: int) -> None:
    """Raises `Problem` for JSON that is nested too deep, or whose numbers take too much.

    JSONB keeps 1e131071 in 8 bytes and writes it out in 131,072. So a number has `MAX_DIGITS` at
    most, its exponent likewise, and a text `max_bytes`, with each exponent counted as so many.
    """
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _is_deep(text):
        raise json_problem(RecursionError(), text)
    shape = text.translate(_SHAPE)
    if not _NUMBER_WITH_EXPONENT.search(shape) and _TOO_LONG not in shape:
        return
    values = _outside_texts(text)
    written = len(text)
    for exponent, count in Counter(_EXPONENT.findall(values)).items():
        digits = exponent.lstrip(b"eE+-").lstrip(b"0")
        if len(digits) > len(str(MAX_DIGITS)) or int(digits or b"0") > MAX_DIGITS:
            raise _too_long()
        written += count * int(digits or b"0")
    if _TOO_LONG in values.translate(_SHAPE):
        raise _too_long()
    if written > max_bytes:
        message = f"Its numbers are longer than {max_bytes} bytes, written without exponents."
        raise Problem(422, "not_storable", message)


def json_problem(
    error: Exception, text: bytes, explain: Callable[[str], Problem | None] = lambda _: None
) -> Problem:
    """Why a text could not be decoded, worded for a client; `explain` knows the broken rules."""
    if isinstance(error, ValidationError):
        try:
            _anything.decode(text)  # msgspec stops at a broken rule, maybe before broken JSON
        except NOT_JSON as worse:
            return json_problem(worse, text)
        message = "An event, a user or a batch must be a JSON object."
        return explain(str(error)) or Problem(422, "not_an_object", message)
    if isinstance(error, RecursionError):
        return Problem(400, "too_deep", f"JSON may be nested {MAX_DEPTH} levels deep at most.")
    reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    if reason == "Input data was truncated":  # what msgspec says of both
        reason = r"it is cut off, or has one half of a surrogate pair (\ud800) without the other"
    return Problem(400, "malformed_json", f"The text is not JSON: {reason}.")


def _is_deep(text: bytes) -> bool:
    steps = array("b", _outside_texts(text).translate(_STEPS, _NO_BRACKETS))
    return max(accumulate(steps), default=0) > MAX_DEPTH


def _outside_texts(text: bytes) -> bytes:
    """JSON without its texts: names and string values."""
    return b"".join(text.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])


def _too_long() -> Problem:
    message = f"A number may have {MAX_DIGITS} digits, and an exponent within ±{MAX_DIGITS}."
    return Problem(422, "not_storable", message)
