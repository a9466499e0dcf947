"""Where a lake can be, who may write to it, and what is said of what cannot be one."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyarrow import fs, parquet

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import Databases
from scripts.lib.base.settings import Settings
from scripts.lib.lake import export as export_module
from scripts.lib.lake.command import forget_lake, name_files
from scripts.lib.lake.folder import Share, open_lake
from scripts.lib.lake.layout import File
from scripts.lib.lake.registry import be_alone
from scripts.lib.lake.writing import write
from scripts.lib.privacy.erasure import erase
from scripts.lib.privacy.people import Identity
from scripts.lib.privacy.place import opened_place
from tests.support.collector import rows_of, wait_until
from tests.support.lake import export, rows_in
from tests.support.warehouse import land, page_view

MANIFEST = "_manifests/own.json"
# Names of folders: what a URI, a shell or a pattern would read otherwise, and any other character.
ODD_NAMES = st.text(
    st.sampled_from("?#%~&=:;*[]{}\\'\" $.aé漢🙂\t\xa0")
    | st.characters(codec="utf-8", exclude_characters="/\0"),
    min_size=1,
    max_size=30,
).filter(lambda name: name not in (".", "..") and name.splitlines() == [name])


@pytest.fixture(scope="module")
def landed(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """A database with three events of three days."""
    with create_database() as url, closing(psycopg.connect(url, autocommit=True)) as connection:
        for day in (1, 2, 3):
            land(connection, [page_view(f"e-{day}")], f"2026-10-0{day} 12:00+00")
        yield url


@pytest.fixture
def lake(landed: str, tmp_path: Path) -> Path:
    """A lake that has them, by the name `own`."""
    folder = tmp_path / "lake"
    export(landed, folder, name="own")
    return folder


def change(path: Path, *, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))


def test_what_is_no_lake_is_said_in_a_line(landed: str, lake: Path, tmp_path: Path) -> None:
    def says(place: Path | str, pattern: str, **options: Any) -> None:  # noqa: ANN401
        with pytest.raises(UserError, match=pattern) as error:
            export(landed, place, **options)
        assert "\n" not in str(error.value)

    ours = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    says(tmp_path / "photos", "is not empty and no lake: name another folder")
    says(tmp_path / "photos" / "a.jpg", "is no folder")
    says("ftp://host/lake", "a lake is a folder or s3://bucket/prefix, not ftp:")
    says("file:///srv/lake", "a lake is a folder or s3://bucket/prefix, not file:")
    says("s3:/bucket/lake", "a lake is a folder or s3://bucket/prefix, not s3:/ ")
    says("s3://key:secret@bucket/lake", "has no credentials: set AWS_ACCESS_KEY_ID")
    says("s3://key:sec/ret@bucket/lake", "has no credentials: set AWS_ACCESS_KEY_ID")
    says("s3://bucket/lake#1", "# is written %23, and .* in its prefix %3F")
    says(tmp_path / "two\nlines", r"is one line of UTF-8, and not '/.*two\\nlines'")
    says(tmp_path / "no\udcff", r"is one line of UTF-8, and not '/.*no\\udcff'")
    says(tmp_path / "new", "by letters, digits and _ in a lake", name="e/u")
    says(lake, "is called own in", name="other")
    manifest = lake / MANIFEST
    for was, now, pattern in (
        ('"version": 1', '"version": 2', "has version 2 of the lake, and this is for version 1"),
        ('"format": "headwater lake"', '"format": "x"', "own.json is damaged, or of a later"),
        ('"rejected_events"', '"later_table"', "own.json is damaged, or of a later"),
        ('"sequence"', '"sequence', "own.json is damaged, or of a later"),
    ):
        change(manifest, was=was, now=now)
        says(lake, pattern)
        manifest.write_bytes(ours[manifest])
    # Half a file, as no export leaves one.
    broken = next(lake.rglob("events/*/*.parquet"))
    broken.write_bytes(broken.read_bytes()[:99])
    with pytest.raises(UserError, match=r"own-.*parquet has 99 of [0-9,]+ bytes: restore it"):
        name_files(str(lake), "events")
    says(lake, r"own-.*parquet: .*not a parquet file", reconcile=True)
    with pytest.raises(UserError, match="is no lake: scripts/export --to makes one"):
        name_files(str(tmp_path / "nowhere"), "events")


@pytest.mark.parametrize("before", ["", "./", "{cwd}/"])
@given(name=ODD_NAMES)
@example("l#1")
@example("l?x=1")
@example("~")
@example("file:x")
@hypothesis_settings(max_examples=10, deadline=None)
def test_the_path_of_a_lake_is_taken_as_it_is(landed: str, before: str, name: str) -> None:
    """Written, read and forgotten there and nowhere else, whatever characters it has."""
    settings = Settings.from_environment({"DATABASE_URL": landed})
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        place = before.format(cwd=Path.cwd()) + name
        export(landed, place)
        assert os.listdir() == [name]
        with redirect_stdout(io.StringIO()) as said:
            name_files(place, "events")
        files = said.getvalue().splitlines()
        tables = [parquet.ParquetFile(file).read() for file in files]
        assert sorted(each for table in tables for each in table["event_id"].to_pylist()) == [
            "e-1", "e-2", "e-3"
        ]  # fmt: skip
        assert {Path(file).parents[2] for file in files} == {Path.cwd() / name}
        forget_lake(settings, place)


def test_the_command_ends_in_a_line(landed: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.lib.lake", "--to", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": landed},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"error: .* is not empty and no lake: name another folder\n", ended.stderr)


def test_two_at_once_are_refused(landed: str, lake: Path) -> None:
    with closing(psycopg.connect(landed, autocommit=True)) as other:
        be_alone(other)
        with pytest.raises(UserError, match="another scripts/export, scripts/erase or"):
            export(landed, lake)


def test_without_its_lock_an_export_shows_nothing(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session was ended while it wrote, and another export may have begun since."""
    lake = tmp_path / "lake"
    export(database, lake)
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        land(connection, [page_view("seen")])

    def write_and_lose(share: Share, *written: Any) -> list[File]:  # noqa: ANN401
        files = write(share, *written)
        rows_of(
            database, "select pg_terminate_backend(%s, 5000)", share.connection.info.backend_pid
        )
        return files

    before = (lake / "_manifests").glob("*.json")
    texts = [path.read_text() for path in before]
    monkeypatch.setattr(export_module, "write", write_and_lose)
    with pytest.raises(psycopg.OperationalError):
        export(database, lake)
    assert [path.read_text() for path in (lake / "_manifests").glob("*.json")] == texts
    monkeypatch.undo()
    export(database, lake)
    assert [row[4] for row in rows_in(lake, "events")] == ["seen"]


@pytest.mark.every_postgres
def test_after_a_restore_what_the_lake_lacks_is_found_by_id(database: str, lake: Path) -> None:
    """Of a database whose transaction ids are no longer those of the manifest."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        land(connection, [page_view("known")])
        export(database, lake, name="restored")
        with pytest.raises(UserError, match="is called restored in"):
            export(database, lake, name="own")
        connection.execute("delete from raw.lakes")
        with pytest.raises(UserError, match="another database is called own"):
            export(database, lake, name="own")
        export(database, lake, name="restored")
        change(lake / "_manifests/restored.json", was="timeline 0", now="timeline 1")
        land(connection, [page_view("unknown")])
        connection.execute("update raw.events set loaded_xid = '3' where event_id = 'unknown'")
        with pytest.raises(
            UserError, match=r"it was restored, or failed over\. Run this once with"
        ):
            export(database, lake)
        export(database, lake, reconcile=True)
        export(database, lake)
        # A mark that is yet to come, as after a disk was put back.
        change(lake / "_manifests/restored.json", was='"below_xid": ', now='"below_xid": 99')
        with pytest.raises(UserError, match="it was restored, or failed over"):
            export(database, lake)
        connection.execute("update raw.events set loaded_xid = '999999999'")
        with pytest.raises(
            UserError, match=r"landed in another cluster.*run scripts/migrate first"
        ):
            export(database, lake)
    of_ours = [row[4] for row in rows_in(lake, "events") if not row[4].startswith("e-")]
    assert sorted(of_ours) == ["known", "unknown"]


def test_a_lake_that_is_no_more_is_forgotten(database: str, tmp_path: Path) -> None:
    export(database, tmp_path / "lake")
    settings = Settings.from_environment({"DATABASE_URL": database})
    with pytest.raises(UserError, match="no lake of this database is called so; there are: /"):
        forget_lake(settings, str(tmp_path / "other"))
    assert forget_lake(settings, str(tmp_path / "lake")) == 0
    assert rows_of(database, "select count(*) from raw.lakes") == [(0,)]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in an S3 of this machine."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with (
        (tmp_path / "s3.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:

            def is_made() -> bool:
                try:
                    return httpx.put(f"{url}/bucket").status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(is_made)
            yield "bucket"
        finally:
            server.terminate()


def test_a_lake_in_s3(database: str, bucket: str) -> None:
    def event_ids() -> list[str]:
        found: list[str] = []
        for file in open_lake(place).files("events"):
            filesystem, path = fs.FileSystem.from_uri(file)
            found += parquet.read_table(path, filesystem=filesystem)["event_id"].to_pylist()
        return sorted(found)

    place = f"s3://{bucket}/some/lake"
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        for day in (1, 2, 1):
            land(connection, [page_view(f"ann-{day}", "ann")], f"2026-10-0{day} 12:00+00")
            land(connection, [page_view(f"bob-{day}", "bob")], f"2026-10-0{day} 13:00+00")
            export(database, f"{place}/", step=1)
    files = open_lake(place).files("events")
    assert all(file.startswith(f"{place}/events/received_date=2026-10-0") for file in files)
    assert (len(files), len(event_ids())) == (6, 6)
    export(database, place, compact=True)
    assert (len(open_lake(place).files("events")), len(event_ids())) == (2, 6)
    with opened_place(Databases(database, database, database, embedded=False)) as held:
        assert erase(held, {Identity("user", "bob")}, lambda: None, print)[f"events of {place}"]
    assert event_ids() == ["ann-1", "ann-1", "ann-2"]
    odd = f"s3://{bucket}/l%231%3Fx?scheme=http"  # the prefix l#1?x, and an option of Arrow's
    export(database, odd)
    [file, *_] = open_lake(odd).files("events")
    assert file.startswith(f"s3://{bucket}/l%231%3Fx/events/received_date=")
    assert fs.FileSystem.from_uri(file)[1].startswith(f"{bucket}/l#1?x/events/")
    with pytest.raises(UserError, match="Unexpected query parameter in S3 URI: 'x'"):
        export(database, f"{place}?x=1")
    with pytest.raises(UserError, match="s3://nowhere/lake"):
        export(database, "s3://nowhere/lake")
