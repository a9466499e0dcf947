"""docs/house.md is true: its rooms, arrows and doors are those of the imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from collector.settings import ROOT

PAGE = (ROOT / "docs" / "house.md").read_text()
LIB = ROOT / "scripts" / "lib"
FILES = [*(ROOT / "collector").rglob("*.py"), *LIB.glob("*/**/*.py"), *LIB.glob("[!_]*.py")]
GROUND = {"base", "collector"}


class Arrow(NamedTuple):
    """That a room imports another by one of its modules, the door."""

    room: str
    other: str
    door: str


def imported(path: Path) -> Iterator[str]:
    """The names of what a file imports, of modules and of what is in them; in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str) -> list[str]:
    """The room and what is in it: scripts.lib.dbt.run.run_dbt is [dbt, run, run_dbt]."""
    return name.removeprefix("scripts.lib.").split(".")


def room_of(path: Path) -> str:
    """The room that a file is in, or is."""
    return place(".".join(path.relative_to(ROOT).with_suffix("").parts))[0]


def arrows() -> Iterator[Arrow]:
    """All imports from room to room. A room that is one file is its own door."""
    for path in FILES:
        for name in imported(path):
            other, *inside = place(name)
            is_ours = name.startswith("scripts.lib.") or other == "collector"
            if is_ours and other != room_of(path):
                yield Arrow(room_of(path), other, inside[0] if other not in ALONE else other)


ALONE = {path.stem for path in LIB.glob("*.py")}


def drawn() -> set[tuple[str, str]]:
    """The arrows of the picture between rooms that are not the ground."""
    lines = re.findall(r"^ +(\w+) --> ([\w &]+)$", PAGE, re.MULTILINE)
    pairs = {(room, other) for room, others in lines for other in others.split(" & ")}
    return pairs - {("commands", "base"), ("base", "collector")}


def doors() -> dict[str, set[str]]:
    """The rooms of the table, each with its doors."""
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| [`")]
    rooms = {re.search(r"(\w+)(?:/|\.py)`", row[1]): row[3] for row in rows}
    return {room[1]: set(re.findall(r"`(\w+)`", named)) for room, named in rooms.items() if room}


def test_rooms_are_those_that_there_are() -> None:
    assert doors().keys() == {room_of(path) for path in FILES}


def test_arrows_are_drawn_and_none_leads_back() -> None:
    used = {(arrow.room, arrow.other) for arrow in arrows()}
    assert drawn() == {(room, other) for room, other in used if other not in GROUND}
    below: dict[str, set[str]] = {}
    for room, other in used:
        below.setdefault(room, set()).add(other)
    assert list(TopologicalSorter(below).static_order())[:2] == ["collector", "base"]


def test_rooms_are_entered_by_their_doors() -> None:
    entered: dict[str, set[str]] = {}
    for arrow in arrows():
        entered.setdefault(arrow.other, set()).add(arrow.door)
    assert {room: named for room, named in doors().items() if named} == entered


def test_sessions_begin_in_one_place() -> None:
    """As they have to, whatever a role or a database has set (`collector.connection`)."""
    begin = {
        str(path.relative_to(ROOT))
        for folder in ("collector", "scripts/lib")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"psycopg\.connect\(|Connection\.connect\(", path.read_text())
    }
    bench = {name for name in begin if name.startswith("scripts/lib/bench/")}  # a server of its own
    assert begin - bench == {"collector/connection.py"}


def test_tests_import_no_tests() -> None:
    shared = ("tests.support.", "tests.faults.")
    for path in (ROOT / "tests").rglob("*.py"):
        of_tests = [name for name in imported(path) if name.startswith("tests.")]
        assert [name for name in of_tests if not name.startswith(shared)] == [], path
