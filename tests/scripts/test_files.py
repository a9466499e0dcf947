"""What several commands write and read at once: files that are whole, and turns that are taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from scripts.lib.base.cli import UserError
from scripts.lib.base.files import alone, put_whole

SPAWN = get_context("spawn")
TIMES = 200
SIZE = 500_000  # bytes, more than one write of the system takes


def put_often(path: Path, letter: bytes) -> None:
    for _ in range(TIMES):
        put_whole(path, letter * SIZE)


def count_often(folder: Path) -> None:
    count = folder / "count"
    for _ in range(TIMES):
        with alone(folder / "lock", lambda: None):
            number = int(count.read_text())
            count.write_text("")  # as what is filled in place is in between
            count.write_text(f"{number + 1}")


def test_file_is_whole_whoever_reads_it_while_others_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    put_whole(path, b"a" * SIZE)
    writers = [SPAWN.Process(target=put_often, args=(path, letter)) for letter in (b"b", b"c")]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        content = path.read_bytes()
        assert content in {letter * SIZE for letter in (b"a", b"b", b"c")}
        seen.add(content[:1])
    assert len(seen) > 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_one_at_a_time_whoever_is_killed(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(count_often, [tmp_path] * 3))
    assert (tmp_path / "count").read_text() == f"{3 * TIMES}"

    holder = SPAWN.Process(target=hold, args=(tmp_path / "lock", tmp_path / "held"))
    holder.start()
    while not (tmp_path / "held").exists():
        assert holder.is_alive()
    with pytest.raises(UserError, match="taken"), alone(tmp_path / "lock", refuse):
        pass
    holder.kill()
    holder.join()
    with alone(tmp_path / "lock", refuse):
        pass


def hold(lock: Path, held: Path) -> None:
    with alone(lock, refuse):
        held.touch()
        while True:
            pass


def refuse() -> None:
    raise UserError("taken")
