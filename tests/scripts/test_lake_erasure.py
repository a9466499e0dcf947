"""An erased person is in no lake either, and raw is kept until the lake has it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scripts.lib.base.cli import UserError
from scripts.lib.base.database import Databases
from scripts.lib.base.settings import Settings
from scripts.lib.lake import command
from scripts.lib.lake import export as export_module
from scripts.lib.lake.command import forget_lake
from scripts.lib.lake.layout import COLUMNS
from scripts.lib.lake.writing import write
from scripts.lib.privacy.erasure import erase, go_on, preview
from scripts.lib.privacy.export_user import export as export_user
from scripts.lib.privacy.people import Identity
from scripts.lib.privacy.place import opened_place
from scripts.lib.privacy.retain import retain
from tests.support.collector import rows_of
from tests.support.lake import assert_lake_is_raw, export, rows_in
from tests.support.warehouse import Warehouse, land, page_view

EMAIL = "jane.unmistakable@example.com"
JANE = {
    Identity("email", EMAIL), Identity("user", "jane-4711"), Identity("anonymous", "visitor-8f3e")
}  # fmt: skip
DAYS = [f"2026-0{month}-{day:02d} 12:00+00" for month in (3, 9) for day in (1, 2)]


def databases(url: str) -> Databases:
    return Databases(url, url, url, embedded=False)


def nothing() -> None:
    """There are no marts here."""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        yield connection


def story(rng: random.Random, number: int) -> dict[str, Any]:
    """An event of jane, of others, or of others that say something of her; some are copies."""
    user: object = rng.choice(["jane-4711", "bob", 17, None])
    anonymous = rng.choice(["visitor-8f3e", "visitor-of-bob", None])
    said = rng.choice(
        ["/", f"/hi/{EMAIL.upper()}", "/?e=jane.unmistakable%40example.com&x", "jane-4711"]
    )
    return page_view(
        f"e-{rng.randrange(60)}", user, activity={"path": said}, n=number,
        **({"anonymousId": anonymous} if anonymous or user is None else {}),
    )  # fmt: skip


def fill(connection: psycopg.Connection[Any], rng: random.Random) -> None:
    for number in range(40):
        land(connection, [story(rng, number)], rng.choice(DAYS))
    connection.execute(
        "insert into raw.opt_outs (changed_at, id_kind, id, is_out) values"
        " (now(), 'user', 'jane-4711', true), (now(), 'anonymous', 'visitor-of-bob', true)"
    )
    for user, payload in (
        ("jane-4711", {"email": EMAIL, "ficoScore": 812}),
        ("bob", {"referredBy": EMAIL}),
    ):
        connection.execute(
            "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
            " values (now(), now(), 'default', %s, %s)",
            [user, Jsonb(payload)],
        )
        connection.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values (now(), 'default', 'x', 'x', %s)",
            [f'{{"userId": "{user}",\n\\.\n'],
        )


def erased(database: str) -> dict[str, int]:
    """Erases jane, and returns rows by table, which are those of the preview."""
    with opened_place(databases(database)) as place:
        said, _ = preview(place, JANE)
        assert erase(place, JANE, nothing, print) == said
    return dict(said)


def parts(held: dict[str, Any]) -> dict[str, list[str]]:
    """What was sent, in no order."""
    return {part: sorted(map(repr, rows)) for part, rows in held["sent"].items()}


def test_what_is_erased_from_raw_is_erased_from_the_lake(
    database: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """The same rows in the same form; and of months that raw no longer has just as much."""
    rng = random.Random(7)
    lake = tmp_path / "lake"
    for part in range(3):
        fill(connection, rng)
        export(database, lake, compact=part == 1)
    with opened_place(databases(database)) as place:
        held = export_user(place, JANE)
    assert len(held["sent"]["events"]) > len(held["sent"]["users"]) == 3
    connection.execute("create table dropped as table raw.events")
    connection.execute("delete from raw.events where received_at < '2026-06-01'")
    with opened_place(databases(database)) as place:
        assert parts(export_user(place, JANE)) == parts(held)  # what raw has lost is in the lake
    # What was about to be written when an export was killed.
    left = next(lake.rglob("*.parquet"))
    left.with_name(left.name.replace("00000", "99999")).write_bytes(left.read_bytes())

    said = erased(database)

    assert said[f"events of {lake}"] > said["raw.events"] > 0
    assert said[f"events of others that mention them of {lake}"] > 0
    after = {table: sorted(rows_in(lake, table), key=repr) for table in COLUMNS}
    assert "unmistakable" not in repr(after)
    assert not list(lake.rglob("*99999*"))
    # What raw would be, had it still all rows.
    connection.execute("truncate raw.events; insert into raw.events table dropped")
    assert said[f"opt_outs of {lake}"] == said["raw.opt_outs"] == 3
    assert f"events of {lake}" not in erased(database)
    assert_lake_is_raw(database, lake)
    assert {table: sorted(rows_in(lake, table), key=repr) for table in COLUMNS} == after


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


def test_a_month_is_kept_until_the_lake_has_it(
    database: str,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And dropped then, whether or not anything is built."""
    month = "2024-02-03 12:00+00"
    connection.execute("select raw.ensure_event_partitions(0, %s::timestamptz)", [month])
    export(database, tmp_path / "lake")
    land(connection, [page_view("old")], month)
    retain(databases(database), 400, 0, dry_run=False)
    assert "1 of its rows are not in the lake" in capsys.readouterr().out
    export(database, tmp_path / "lake")
    connection.execute("insert into raw.erasures (identity_hashes) values ('{}')")
    retain(databases(database), 400, 0, dry_run=False)
    assert "an erasure is unfinished" in capsys.readouterr().out
    connection.execute("delete from raw.erasures")
    retain(databases(database), 400, 0, dry_run=False)
    assert rows_of(database, "select count(*) from raw.events") == [(0,)]
    assert [row[4] for row in rows_in(tmp_path / "lake", "events")] == ["old"]
