"""Builds of scripts/spark go into a folder one at a time; `current` is always on a whole one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.spark.place import unfinished
from tests.support.lake import export
from tests.support.placing import NEVER, builder, is_whole, kept_builds


def test_a_build_and_its_lake_are_not_one_in_the_other(database: str, tmp_path: Path) -> None:
    """Said in a line, before anything is made; through links, too."""
    lake, pattern = tmp_path / "marts" / "lake", tmp_path / "l?"
    export(database, lake)
    export(database, pattern)
    (tmp_path / "marts" / "builds").mkdir()
    (tmp_path / "link").symlink_to(lake)
    before = sorted(tmp_path.rglob("*"))
    for place, read, said in (
        (lake, lake, "are one in the other"),
        (lake / "events" / "marts", lake, "are one in the other"),
        (tmp_path / "link" / "new", lake, "are one in the other"),
        (tmp_path / "marts", tmp_path / "link", "are one in the other"),
        (tmp_path / "new", pattern, "which Spark takes for a pattern"),
    ):
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "scripts.lib.spark", "--lake", read, "--to", place],
            env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == (1, "")
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_killed_at_any_point_a_build_leaves_a_whole_one(tmp_path: Path) -> None:
    place = tmp_path / "marts"
    published: list[Path] = []
    with builder(place) as one:
        for number in count():
            answer = one.ask(number)
            assert answer in ("killed", "built")
            published += newly_published(place, published)
            assert all(map(is_whole, published[-2:]))  # the one before is read still
            assert one.ask(NEVER) == "built"
            [newest] = newly_published(place, published)
            published.append(newest)
            assert kept_builds(place) == {each.name for each in published[-2:]}
            if answer == "built":
                break
    assert number > 20


def newly_published(place: Path, published: list[Path]) -> list[Path]:
    """The build that `current` is on, unless that is the newest known."""
    current = place / "current"
    build = current.resolve()
    return [build] if current.is_symlink() and build not in published[-1:] else []


def test_builds_at_once_do_not_mix(tmp_path: Path) -> None:
    place = tmp_path / "marts"
    rng = random.Random(7)
    seen = set()
    with builder(place) as one, builder(place) as other:
        assert one.ask(NEVER) == "built"
        for _ in range(60):
            for each in (one, other):
                each.begin(rng.choice((rng.randrange(40), 1000)))
            seen |= {one.end(), other.end()}
            assert is_whole(place / "current")
        assert one.ask(NEVER) == "built"
    assert len(kept_builds(place)) == 2
    assert all(is_whole(place / "builds" / name) for name in kept_builds(place))
    assert {"killed", "built"} <= seen


def test_second_build_is_told_of_the_first(tmp_path: Path) -> None:
    place = tmp_path / "marts"
    with builder(place) as other:
        with unfinished(place):
            assert other.ask(NEVER) == "refused"
            with pytest.raises(UserError, match="another build goes into"), unfinished(place):
                pass
        assert kept_builds(place) == set()
        assert other.ask(NEVER) == "built"
