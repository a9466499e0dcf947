"""What each page asks again and again: how old it is, and whether it could be built anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from scripts.lib.base.files import put_whole

_FILE = Path("assets", "state.js")  # a script, since pages opened by double-click may fetch nothing
_START, _END = b"window.siteState = ", b";\n"


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When the pages were built, and when they last could not be.

    `data_up_to` is when the last good build of dbt began. Pages warn once that is `max_age` seconds
    ago, or once they themselves are older than they should be, if built `every` so many seconds.
    """

    built_at: datetime
    data_up_to: datetime | None
    max_age: int
    every: int | None = None
    failed_at: datetime | None = None


def write_state(folder: Path, state: State) -> None:
    """Puts `state` in the place of what was in the site in `folder`."""
    put_whole(folder / _FILE, _START + msgspec.json.encode(state) + _END)


def tell_failure(folder: Path) -> None:
    """Has the pages in `folder` say that they could not be built anew just now."""
    text = (folder / _FILE).read_bytes().removeprefix(_START).removesuffix(_END)
    state = msgspec.json.decode(text, type=State)
    write_state(folder, msgspec.structs.replace(state, failed_at=datetime.now(UTC)))
