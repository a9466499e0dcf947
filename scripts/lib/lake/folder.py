"""The lake as a place: a folder of this machine, or a prefix in S3."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from scripts.lib.base.cli import UserError
from scripts.lib.lake.layout import COLUMNS, MANIFESTS, File, Manifest, manifest_path
from scripts.lib.lake.registry import Connection, Registered

_SUFFIX = ".parquet"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
# What ends a line for who reads names of files line by line, and what no UTF-8 has.
_NOT_IN_A_LINE = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake; paths are relative to it. What cannot be read or written raises UserError."""

    uri: str
    filesystem: fs.FileSystem
    root: Path | None  # where it is a folder of this machine

    @property
    def name(self) -> str:
        """What the paths of its files begin with."""
        return self.uri if self.root else self.uri.partition("?")[0].rstrip("/")

    def manifests(self) -> list[Manifest]:
        """Those of all databases, by name."""
        with self.asked():
            found = self.listed(MANIFESTS)
        paths = sorted(path for path in found if path.endswith(".json"))
        return [self._manifest(path) for path in paths]

    def manifest(self, database: str) -> Manifest | None:
        """That of a database; None where it has none here yet."""
        path = manifest_path(database)
        with self.asked():
            if self.filesystem.get_file_info(path).type == fs.FileType.NotFound:
                return None
        return self._manifest(path)

    def files(self, table: str) -> list[str]:
        """Where the files of a table are, of all databases, for who reads them.

        Raises UserError where one is gone, or is not as long as its manifest says.
        """
        named = [file for each in self.manifests() for file in each.tables[table].files]
        with self.asked():
            there = self.listed(table)
        for file in named:
            if there.get(file.path) != file.bytes:
                raise UserError(
                    f"{self.name}/{file.path} has {there.get(file.path, 0):,} of {file.bytes:,} "
                    "bytes: restore it"
                )
        return [f"{self.name}/{file.path}" for file in named]

    def batches(self, file: File, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a file, or some of their columns."""
        with self.asked(file.path), self.filesystem.open_input_file(file.path) as stream:
            yield from pq.ParquetFile(stream).iter_batches(columns=columns)

    def listed(self, folder: str) -> dict[str, int]:
        """The files in a folder, at any depth, with their bytes."""
        selector = fs.FileSelector(folder, allow_not_found=True, recursive=True)
        found = self.filesystem.get_file_info(selector)
        return {each.path: each.size for each in found if each.type == fs.FileType.File}

    @contextmanager
    def asked(self, path: str = "") -> Iterator[None]:
        """Has what a disk or S3 refuses, or a broken file, end in one line."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{self.name}/{path}: {reason}") from error

    def _manifest(self, path: str) -> Manifest:
        with self.asked(), self.filesystem.open_input_stream(path) as stream:
            return Manifest.decoded(f"{self.name}/{path}", stream.read())


@dataclass(frozen=True, slots=True)
class Share:
    """What one database has in a lake.

    Nobody else writes there at the same time: `connection` has the lock of `be_alone`.
    """

    lake: Lake
    manifest: Manifest
    connection: Connection

    def publish(self, written: Iterable[File]) -> None:
        """Has the manifest say from now on what there is, once what was written is on the disk."""
        lake, manifest = self.lake, self.manifest
        self.connection.execute("select 1")  # without it the lock may be somebody else's by now
        manifest.sequence += 1
        with lake.asked():
            if lake.root is None:  # an object appears whole, or not at all
                with lake.filesystem.open_output_stream(manifest.path) as stream:
                    stream.write(manifest.encoded())
                return
            for file in written:
                _settle(lake.root / file.path)
            path = lake.root / manifest.path
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_bytes(manifest.encoded())
            _settle(new)
            new.replace(path)
            _settle(path)

    def replace(self, table: str, old: Iterable[File], new: list[File]) -> None:
        """Has files of a table replaced by others. The old ones are gone at once."""
        of_table = self.manifest.tables[table]
        of_table.files = [file for file in of_table.files if file not in set(old)] + new
        self.publish(new)
        with self.lake.asked():
            for file in old:
                self.lake.filesystem.delete_file(file.path)

    def sweep(self) -> None:
        """Removes the files that the manifest does not name: what a killed command left."""
        kept = {file.path for file in self.manifest.files}
        with self.lake.asked():
            for table in COLUMNS:
                for path in self.lake.listed(table):
                    is_ours = path.rpartition("/")[2].startswith(f"{self.manifest.database}-")
                    if is_ours and path.endswith(_SUFFIX) and path not in kept:
                        self.lake.filesystem.delete_file(path)


def lake_uri(place: str) -> str:
    """What a lake is called, in raw.lakes too: its URI, or the whole path of its folder.

    Whether it is there is not asked. Raises UserError for what can be no lake.
    """
    scheme = _URI.match(place)
    if scheme is None:  # a path, whatever characters it has
        path = os.path.realpath(place)  # Path.resolve fails where links go round
        if _NOT_IN_A_LINE.search(path):
            raise UserError(f"the path of a lake is one line of UTF-8, and not {path!a}")
        return path
    if not place.startswith("s3://"):
        raise UserError(
            f"a lake is a folder or s3://bucket/prefix, not {scheme[0]} (a folder: ./{scheme[0]})"
        )
    bucket = place.removeprefix("s3://").partition("/")[0]
    if "@" in bucket or ":" in bucket:
        raise UserError("a lake's URI has no credentials: set AWS_ACCESS_KEY_ID and the like")
    if "#" in place:  # Arrow would leave out what follows
        raise UserError("in the URI of a lake in S3, # is written %23, and ? in its prefix %3F")
    return place.rstrip("/")


def open_lake(place: str) -> Lake:
    """The lake at a path or an `s3://` URI. Raises UserError where there cannot be one.

    A new one is an empty or missing folder; nothing is made yet.
    """
    uri = lake_uri(place)
    if _URI.match(uri):
        lake = _in_s3(uri)
    else:
        lake = Lake(uri, fs.SubTreeFileSystem(uri, fs.LocalFileSystem()), Path(uri))
    with lake.asked():
        if lake.root and lake.root.exists() and not lake.root.is_dir():
            raise UserError(f"{lake.root} is no folder")
        selector = fs.FileSelector("", allow_not_found=True)
        found = {info.base_name for info in lake.filesystem.get_file_info(selector)}
    if found and MANIFESTS not in found:
        raise UserError(f"{lake.name} is not empty and no lake: name another folder")
    return lake


def registered_share(connection: Connection, registered: Registered) -> Share:
    """What a database has in a lake of raw.lakes. Raises UserError where that cannot be had.

    A lake is noted once it has a manifest: where there is none, it is not mounted, or gone.
    """
    lake = open_lake(registered.uri)
    manifest = lake.manifest(registered.database)
    if manifest is None:
        raise UserError(
            f"{lake.name} has nothing of this database: bring it back, or, where it is no more, "
            f"run scripts/export --to {shlex.quote(lake.uri)} --forget"
        )
    return Share(lake, manifest, connection)


def _in_s3(uri: str) -> Lake:
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{uri.partition('?')[0]}: {reason}") from error
    return Lake(uri, fs.SubTreeFileSystem(path, filesystem), None)


def _settle(path: Path) -> None:
    """Waits until a file, and that it is in its folder, would outlast a loss of power."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
