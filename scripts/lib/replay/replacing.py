"""Takes back what former runs of a history sent and the present one does not."""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client, encode
from scripts.lib.replay.identity import Named
from scripts.lib.replay.making import BATCH_ROWS
from scripts.lib.replay.state import Run, Sent, State

MAX_ID = 128  # characters of an eventId


def free(named: list[Named], state: State, run: Run, *, replaces: bool) -> list[Named]:
    """Gives other ids to events under whose own nothing would count.

    That are those taken back and, in a replacement, those under which something else was sent.
    """
    generation = 1
    while True:
        sent = Sent([each.event_id for each in named], [each.content for each in named])
        taken = state.voided(sent.event_ids)
        if replaces:
            taken |= state.differing(run, sent)
        if not taken:
            return named
        generation += 1
        named = [
            _renumbered(each, generation) if each.event_id in taken else each for each in named
        ]


def take_back(client: Client, state: State, run: Run) -> int:
    """Takes back what other runs sent of the same files and this one did not; returns how many."""
    event_ids = state.others(run)
    for start in range(0, len(event_ids), BATCH_ROWS):
        some = event_ids[start : start + BATCH_ROWS]
        receipt = client.send("/events", [_void(each) for each in some])
        if receipt.rejected:
            message = receipt.rejected[0].message
            raise UserError(f"the collector refused to take events back: {message}")
        state.note_voided(some)
    state.drop_others(run)
    return len(event_ids)


def _void(event_id: str) -> bytes:
    """The event that takes another one of its source back."""
    return encode(
        {
            "eventId": f"void-{_digest(event_id)}",
            "eventType": "event_voided",
            "anonymousId": "scripts/replay",
            "activity": {"eventId": event_id},
        }
    )


def _renumbered(event: Named, generation: int) -> Named:
    """The same event under another id, made of its own."""
    bare = re.sub(r"~\d+$", "", event.event_id)
    event_id = f"{bare}~{generation}"
    if len(event_id) > MAX_ID:
        event_id = f"{_digest(bare)}~{generation}"
    fields = msgspec.json.decode(event.text, type=dict[str, msgspec.Raw])
    fields["eventId"] = msgspec.Raw(encode(event_id))
    return event._replace(event_id=event_id, text=encode(fields))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
