"""An erasure reaches all rows of each lake, and one that it cannot reach keeps nobody in others."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

from scripts.lib.base.cli import UserError
from scripts.lib.base.settings import Settings
from scripts.lib.lake import command
from scripts.lib.lake import export as export_module
from scripts.lib.lake.command import forget_lake
from scripts.lib.lake.writing import write
from scripts.lib.privacy.erasure import erase, go_on, preview
from scripts.lib.privacy.place import opened_place
from tests.support.lake import assert_lake_is_raw, export, rows_in
from tests.support.lake_people import JANE, databases, erased, fill, nothing
from tests.support.warehouse import Warehouse, page_view


def test_an_erasure_is_unfinished_until_the_lake_can_be_reached(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    lake, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    fill(connection, random.Random(8))
    export(database, lake)
    with opened_place(databases(database)) as place:
        lake.rename(elsewhere)
        with pytest.raises(UserError, match="has nothing of this database: bring it back, or"):
            erase(place, JANE, nothing, print)
    elsewhere.rename(lake)
    with pytest.raises(UserError, match="an erasure is unfinished: scripts/erase --resume"):
        export(database, lake)
    with opened_place(databases(database)) as place:
        assert go_on(place, nothing, print)
    assert_lake_is_raw(database, lake)
    # What comes under the same id from then on is a new person's.
    fill(connection, random.Random(9))
    export(database, lake)
    assert_lake_is_raw(database, lake)


def moved(lake: Path) -> None:
    lake.rename(lake.with_name("elsewhere"))


def in_its_place_a_file(lake: Path) -> None:
    moved(lake)
    lake.touch()


def in_its_place_another_folder(lake: Path) -> None:
    moved(lake)
    (lake / "photos").mkdir(parents=True)


def in_its_place_a_link_to_itself(lake: Path) -> None:
    moved(lake)
    lake.symlink_to(lake)


def damaged(lake: Path) -> None:
    [manifest] = lake.glob("_manifests/*")
    manifest.write_text("{")


def cut(lake: Path) -> None:
    for file in lake.glob("users/*/*"):
        file.write_bytes(file.read_bytes()[:99])


@pytest.mark.parametrize(
    "harm",
    [
        moved,
        in_its_place_a_file,
        in_its_place_another_folder,
        in_its_place_a_link_to_itself,
        damaged,
        cut,
    ],
)
def test_a_lake_out_of_reach_keeps_nobody_in_the_others(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path,
    harm: Callable[[Path], None],
) -> None:  # fmt: skip
    """An erasure goes as far as it can, says which lakes are left, and ends once they are not."""
    fill(connection, random.Random(13))
    lakes = {name: tmp_path / name for name in ("1 ok", "2 harmed", "3 ok", "4 harmed")}
    for lake in lakes.values():
        export(database, lake)
    # The second comes back, the fourth does not.
    shutil.copytree(lakes["2 harmed"], tmp_path / "kept")
    for name in ("2 harmed", "4 harmed"):
        harm(lakes[name])
        if (tmp_path / "elsewhere").exists():
            shutil.rmtree(tmp_path / "elsewhere")
    with opened_place(databases(database)) as place:
        counts, out_of_reach = preview(place, JANE)
        assert [name in line for line, name in zip(out_of_reach, ("2 h", "4 h"), strict=True)]
        assert counts[f"events of {lakes['3 ok']}"] > 0
        with pytest.raises(UserError, match=r"2 harmed(.*\n)+.*4 harmed.*\nMend that"):
            erase(place, JANE, nothing, print)
        for name in ("1 ok", "3 ok"):
            assert_lake_is_raw(database, lakes[name])
        said: list[str] = []
        with pytest.raises(UserError, match=r"2 harmed(.*\n)+.*4 harmed.*\nMend that"):
            go_on(place, nothing, said.append)
        assert not [line for line in said if " ok" in line]
    settings = Settings.from_environment({"DATABASE_URL": database})
    forget_lake(settings, str(lakes["4 harmed"]))
    shutil.rmtree(lakes["2 harmed"], ignore_errors=True)
    with suppress(FileNotFoundError):
        lakes["2 harmed"].unlink()
    (tmp_path / "kept").rename(lakes["2 harmed"])
    with opened_place(databases(database)) as place:
        assert go_on(place, nothing, print)
    for name in ("1 ok", "2 harmed", "3 ok"):
        export(database, lakes[name])
        assert_lake_is_raw(database, lakes[name])


def test_a_build_that_fails_keeps_nobody_in_a_lake(warehouse: Warehouse, tmp_path: Path) -> None:
    """Nor does anything else that keeps a destination from its end."""

    def fails() -> NoReturn:
        raise UserError("dbt run failed")

    warehouse.land(page_view("theirs", "jane-4711"))
    warehouse.run("--select", "+dim_users")
    export(warehouse.database_url, tmp_path / "lake")
    with (
        opened_place(databases(warehouse.database_url)) as place,
        pytest.raises(UserError, match="dbt run failed"),
    ):
        erase(place, JANE, fails, print)
    assert rows_in(tmp_path / "lake", "events") == []


def test_a_place_that_cannot_be_written_to_is_no_lake(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """And keeps no erasure from its end."""
    fill(connection, random.Random(10))
    (tmp_path / "file").touch()
    for place in ("/proc/lake", tmp_path / "file" / "lake"):
        with pytest.raises(UserError, match=f"{place}/"):
            export(database, place)
    assert erased(database)["raw.events"]


def test_a_first_export_that_is_stopped_leaves_no_rows_out_of_reach(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Before the lake is noted there are no rows; from then on an erasure reaches all of them."""
    fill(connection, random.Random(11))
    lake = tmp_path / "lake"

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    def write_and_stop(*written: Any) -> NoReturn:  # noqa: ANN401
        assert write(*written)
        stop()

    for module, name, does, is_written in (
        (command, "register", stop, False),
        (export_module, "write", write_and_stop, True),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, does)
            with pytest.raises(KeyboardInterrupt):
                export(database, lake)
        assert (list(lake.rglob("*.parquet")) != []) == is_written
    # Where it may be, there may be rows.
    lake.rename(tmp_path / "elsewhere")
    with (
        opened_place(databases(database)) as place,
        pytest.raises(UserError, match="has nothing of this database: bring it back"),
    ):
        erase(place, JANE, nothing, print)
    with pytest.raises(UserError, match="an erasure is unfinished"):
        export(database, lake)
    (tmp_path / "elsewhere").rename(lake)
    with opened_place(databases(database)) as place:
        assert go_on(place, nothing, print)
    assert not list(lake.rglob("*.parquet"))
    export(database, lake)
    assert assert_lake_is_raw(database, lake)


def test_a_lake_that_is_not_where_it_was_is_not_begun_anew(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """It would hide the rows of the one that was there from erasures."""
    fill(connection, random.Random(12))
    lake = tmp_path / "the lake"
    export(database, lake)
    lake.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"bring it back, or.* --to '{lake}' --forget"):
        export(database, lake)
    forget_lake(Settings.from_environment({"DATABASE_URL": database}), str(lake))
    export(database, lake)
    assert assert_lake_is_raw(database, lake)
