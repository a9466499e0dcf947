"""What clients send and are answered, as msgspec reads and writes it: each limit stands here once.

The OpenAPI document is made of these types. The title of a field is what its value must be, in the
words of the problem that a client gets where it is something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, cast

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.inspect import Metadata, StructType, type_info

from collector.problems import Code, Problem
from collector.times import Timestamp

MAX_INTEGER = 2**53 - 1  # as far as all readers of JSON are exact (RFC 8259, section 6)
MAX_TEXT, MAX_EMAIL, MAX_NAME = 128, 320, 1024
MIN_SCORE, MAX_SCORE = 300, 850  # FICO's published range

_RANGE = Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)
_SCORE = Meta(ge=MIN_SCORE, le=MAX_SCORE)
_TEXT = Meta(title=f"a string of 1 to {MAX_TEXT} characters")
_TIME = Meta(title="an RFC 3339 time with an offset below 16:00, like 2026-01-31T12:00:00Z")

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
UserId = Annotated[int, _RANGE] | Annotated[float, _RANGE] | Text  # a float like 1.0, that is 1
Score = Annotated[int, _SCORE] | Annotated[float, _SCORE]  # a float like 720.0, that is 720
Email = Annotated[str, Meta(max_length=MAX_EMAIL, pattern="@")]
OptionalUserId = Annotated[
    UserId | None,
    Meta(title=f"an integer within ±{MAX_INTEGER} or a string of 1 to {MAX_TEXT} characters"),
]
OptionalTime = Annotated[Timestamp | None, _TIME]


class AnyObject(Struct, gc=False):
    """A JSON object, whatever is in it."""


class EventFields(Struct, gc=False, rename="camel"):
    """The contract's part of an event; further properties are kept and not looked at."""

    event_type: Annotated[str, Meta(title="a string", description="One of the supported types.")]
    activity: Annotated[AnyObject, Meta(title="a JSON object", description="What happened.")]
    user_id: OptionalUserId = None
    anonymous_id: Annotated[Text | None, _TEXT] = None
    event_id: Annotated[
        Annotated[Text, Meta(pattern=r"^[^\0]*$")] | None,
        Meta(
            title=f"a string of 1 to {MAX_TEXT} characters without NUL",
            description="The same id from the same key is the same event; made here where absent.",
        ),
    ] = None
    occurred_at: OptionalTime = None
    sent_at: OptionalTime = None


class UserFields(Struct, gc=False, rename="camel"):
    """The contract's part of a user; further properties are kept and not looked at."""

    email: Annotated[
        Email | None, Meta(title=f"a string of at most {MAX_EMAIL} characters with an @ in it")
    ] = None
    user_id: OptionalUserId = None
    name: Annotated[
        Annotated[str, Meta(max_length=MAX_NAME)] | None,
        Meta(title=f"a string of at most {MAX_NAME} characters"),
    ] = None
    fico_score: Annotated[
        Score | None, Meta(title=f"an integer from {MIN_SCORE} to {MAX_SCORE}")
    ] = None
    occurred_at: OptionalTime = None


# What each field must be, by its name in JSON.
RULES: dict[str, str] = {
    field.encode_name: field.type.extra_json_schema["title"]
    for each in (EventFields, UserFields)
    for field in cast(StructType, type_info(each)).fields
    if isinstance(field.type, Metadata) and field.type.extra_json_schema
}


class Rejected(Struct, omit_defaults=True):
    """Why one element of a request is refused."""

    index: Annotated[int, Meta(ge=0, description="Place in the request, from 0.")]
    code: Code
    message: str
    field: str | UnsetType = UNSET


def refusals(problems: Iterable[tuple[int, Problem]]) -> list[Rejected]:
    """Why elements were refused, given with their places, in the order of the request."""
    ordered = sorted(problems, key=lambda each: each[0])
    return [
        Rejected(index, problem.code, problem.message, problem.field or UNSET)
        for index, problem in ordered
    ]


class Receipt(Struct, rename="camel"):
    """What became of the events of a request."""

    accepted: Annotated[int, Meta(ge=1)]
    event_ids: Annotated[list[str], Meta(description="Of the accepted events, in their order.")]
    rejected: list[Rejected]


class UserReceipt(Struct, rename="camel"):
    """What became of the users of a request that has several."""

    accepted: Annotated[int, Meta(ge=1)]
    user_ids: Annotated[list[str], Meta(description="Of the accepted users, in their order.")]
    rejected: list[Rejected]


class MessageReceipt(Struct):
    """What became of the messages of a Segment SDK."""

    accepted: Annotated[int, Meta(ge=0)]
    rejected: list[Rejected]
    success: bool = True
