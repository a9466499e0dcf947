"""Opens what a history is kept in, packed or not, and finds the reader for it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from glob import glob
from pathlib import Path
from typing import cast

from scripts.lib.replay.reading.documents import JsonRows
from scripts.lib.replay.reading.records import (
    Block,
    FileOptions,
    HistoryError,
    Rows,
    Unpacked,
    first_characters,
)
from scripts.lib.replay.reading.separated import CsvRows
from scripts.lib.replay.reading.tables import read_excel, read_parquet
from scripts.lib.replay.reading.xes import XesRows

STDIN = Path("-")
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_BY_NAME = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".xes": "xes",
    ".ndjson": "json", ".jsonl": "json", ".parquet": "parquet",
    ".xlsx": "excel", ".xls": "excel", ".xlsb": "excel", ".ods": "excel",
}  # fmt: skip
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_PEEK = 4096


def expand(names: Sequence[str]) -> list[Path]:
    """The files of some names and globs, each glob's in order of name.

    Raises HistoryError where one matches nothing that can be read more than once.
    """
    files: list[Path] = []
    for name in names:
        found = (
            [Path(name)] if name == "-" or Path(name).exists() else sorted(map(Path, glob(name)))
        )
        inside = [
            each
            for path in found
            for each in (sorted(path.rglob("*")) if path.is_dir() else [path])
            if each == STDIN or each.is_file()
        ]
        if not inside:
            raise HistoryError(_why_none(name, found))
        files += inside
    return files


def _why_none(name: str, found: Sequence[Path]) -> str:
    if any(path.is_dir() for path in found):
        return f"there is no file in {name}"
    if any(path.exists() for path in found):
        return (
            f"{name} is a pipe or a device, and a file is read more than once: "
            "give it to the standard input, which is the file -"
        )
    return f"there is no file {name}"


@cache
def logical_name(name: str) -> str:
    """The name of a file whatever it is packed in: history.csv for history.csv.gz."""
    while name.lower().endswith(PACKED):
        name = name.rpartition(".")[0]
    return name


class History:
    """The records of some files, one after the other.

    With `as_lines` those of NDJSON are its lines as they stand. `broken` says, once they are read,
    why a file could not be read to its end: what stood before is read all the same, and so are the
    files after it.
    """

    def __init__(
        self, files: Sequence[Path], options: FileOptions, *, as_lines: bool = False
    ) -> None:
        self.files = files
        self.options = options
        self._as_lines = as_lines
        self.broken: list[str] = []
        self.columns: list[str] | None = None
        self._done = 0
        self._raw: io.BufferedReader | None = None

    def position(self) -> int:
        """Bytes that are read so far, packed as they are."""
        return self._done + (self._raw.tell() if self._raw and not self._raw.closed else 0)

    def heads(self) -> Iterator[tuple[str, list[str]]]:
        """The columns of each table in the files, with its name; of a stream, once it is begun.

        Raises HistoryError where a file cannot be read at all.
        """
        for path in self.files:
            if path == STDIN:
                if self.columns is not None:
                    yield path.name, self.columns
                continue
            with _opened(path) as raw, suppress(*_BROKEN):  # reading tells of it
                for name, stream in _unpacked(path.name, raw):
                    columns = self._reader(name, path, stream).columns
                    if columns is not None:
                        yield name, columns

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """The records in blocks, each with the name of its file.

        Raises HistoryError where a file cannot be read at all.
        """
        for path in self.files:
            with _opened(path) as raw:
                self._raw = None if path == STDIN else raw
                has_read = False
                try:
                    for name, stream in _unpacked(path.name, raw):
                        rows = self._reader(name, path, stream)
                        self.columns = rows.columns
                        for block in rows.blocks():
                            has_read = True
                            yield name, block
                except (HistoryError, *_BROKEN) as error:
                    is_said = isinstance(error, HistoryError)
                    text = str(error) if is_said else f"{path}: {error or 'ends early'}"
                    if not has_read:
                        raise HistoryError(text) from error
                    self.broken.append(text)
                if self._raw:
                    self._done += path.stat().st_size
                    self._raw = None

    def _reader(self, name: str, path: Path, stream: io.BufferedReader) -> Rows:
        kind = self.options.format or _kind(name, stream.peek(_PEEK))
        if self._as_lines and kind != "json":
            raise HistoryError(
                f"{path}: a table needs --mapping; docs/replay.md shows how, and "
                f"scripts/replay --inspect {path} proposes one"
            )
        if kind in ("parquet", "excel") and name != path.name:
            raise HistoryError(f"{name}: unpack it first; {kind} is read from a file of its own")
        match kind:
            case "parquet":
                return read_parquet(path)
            case "excel":
                return read_excel(path, self.options)
            case "xes":
                return XesRows(stream, name)
            case "json":
                return JsonRows(stream, name, self.options.encoding, as_lines=self._as_lines)
        return CsvRows(stream, name, self.options)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if path == STDIN:
        with os.fdopen(sys.stdin.fileno(), "rb", closefd=False) as raw:
            yield raw
        return
    try:
        raw = path.open("rb")
    except OSError as error:
        raise HistoryError(f"{path}: cannot be opened: {error.strerror}") from error
    with raw:
        yield raw


def _unpacked(name: str, raw: io.BufferedIOBase) -> Iterator[tuple[str, io.BufferedReader]]:
    """The documents in a file, whatever it is packed in: one, but for ZIP."""
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(Unpacked(raw))
    head = stream.peek(_PEEK)
    bare = name.rpartition(".")[0] if name.lower().endswith(PACKED) else name
    if head[:2] == b"\x1f\x8b":
        yield from _unpacked(bare, gzip.GzipFile(fileobj=stream))
    elif head[:4] == b"\x28\xb5\x2f\xfd":
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  seldom needed
        else:
            from backports import zstd  # noqa: PLC0415

        yield from _unpacked(bare, zstd.ZstdFile(stream))
    elif head[:3] == b"BZh":
        yield from _unpacked(bare, bz2.BZ2File(stream))
    elif head[:6] == b"\xfd7zXZ\x00":
        yield from _unpacked(bare, lzma.LZMAFile(stream))  # noqa: SIM115  closed with the file
    elif head[:4] == b"PK\x03\x04" and _BY_NAME.get(Path(name.lower()).suffix) != "excel":
        if not stream.seekable():
            raise HistoryError(f"{name}: a ZIP cannot be read from a stream; name the file")
        with zipfile.ZipFile(stream) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith("/") or "__MACOSX/" in member:
                    continue
                with archive.open(member) as inner:
                    yield from _unpacked(Path(member).name, cast(io.BufferedIOBase, inner))
    else:
        yield name, stream


def _kind(name: str, head: bytes) -> str:
    """The format, by the name and else by the first bytes."""
    kind = _BY_NAME.get(Path(name.lower()).suffix)
    if kind:
        return kind
    if head[:4] == b"PAR1":
        return "parquet"
    text = first_characters(head)
    if text[:1] in (b"{", b"["):
        return "json"
    return "xes" if text[:1] == b"<" else "csv"
