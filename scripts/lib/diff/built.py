"""A change that is built, to be compared with what prod has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CutOff:
    """What prod has read: `as_of` is the time of its build, `xid` the transaction it read below."""

    as_of: datetime
    xid: str
    build: int


@dataclass(frozen=True, slots=True)
class Built:
    """A change that is built: manifests of `before` and `now`, and the ids of what was built."""

    before: Mapping[str, Any]
    now: Mapping[str, Any]
    ids: frozenset[str]
    cut_off: CutOff
