"""What the keys of a mapping file have to be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from scripts.lib.base.cli import UserError


class MappingError(UserError):
    """The mapping file is wrong; says where and what to write instead."""


def texts_of(value: object, where: str) -> tuple[str, ...]:
    """A text or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise MappingError(f"{where}: must be a text or a list of them")
    return tuple(texts)


def members_of(value: object, where: str) -> Mapping[str, Any]:
    """A mapping by texts that has something in it."""
    if not isinstance(value, dict) or not value:
        raise MappingError(f"{where}: must be a mapping of names to values")
    for name in value:
        if not isinstance(name, str):
            raise MappingError(f"{where}: the key {name!r} must be text; put it in quotes")
    return value


def known(members: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    """Raises MappingError for a key that is none of `names`, with the nearest one."""
    for name in members:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f", is it {near[0]!r}?" if near else ""
            raise MappingError(f"{where}: unknown key {name!r}; known are {', '.join(names)}{hint}")
