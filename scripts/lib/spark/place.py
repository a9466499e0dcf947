"""Where builds go: one at a time, and `current` is on a whole one whatever is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from scripts.lib.base.cli import UserError
from scripts.lib.base.files import alone

CURRENT = "current"
_BUILDS = "builds"
_UNFINISHED = "unfinished-"


def require_apart(place: Path, lake: Path) -> None:
    """Raises UserError where builds would go into the lake, or the lake is among the builds."""
    to = Path(os.path.realpath(place))
    if to.is_relative_to(lake) or lake.is_relative_to(to):
        raise UserError(f"{place} and the lake {lake} are one in the other: name another folder")


@contextmanager
def unfinished(place: Path) -> Iterator[Path]:
    """A new folder for the only build of this place, for the block. What killed ones left goes.

    Raises UserError where the place is not one of builds, or another build is at it.
    """
    builds = place / _BUILDS
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is no folder")
    if place.exists() and any(place.iterdir()) and not builds.is_dir():
        raise UserError(f"{place} is not empty and has no builds of this: name another folder")

    def refuse() -> NoReturn:
        raise UserError(f"another build goes into {place}: wait for it, or name another folder")

    with alone(builds / ".lock", refuse):
        for killed in builds.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(killed, ignore_errors=True)
        # A name of its own: what is left of a killed build may still write into its folder.
        folder = builds / datetime.now(UTC).strftime(f"{_UNFINISHED}%Y%m%dT%H%M%S.%fZ")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path) -> str:
    """Puts `current` on an unfinished build that is whole, and returns its name.

    The one before stays for those who still read it; older ones go.
    """
    builds = folder.parent
    current = builds.parent / CURRENT
    before = current.resolve().name
    whole = folder.rename(builds / folder.name.removeprefix(_UNFINISHED))
    new = builds.parent / f".{CURRENT}"
    new.unlink(missing_ok=True)
    new.symlink_to(whole.relative_to(builds.parent))
    new.replace(current)
    for old in builds.glob("[!.]*"):
        if old.name not in (whole.name, before):
            shutil.rmtree(old, ignore_errors=True)
    return whole.name
