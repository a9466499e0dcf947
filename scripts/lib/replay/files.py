"""Opens what a history is kept in, packed or not, and finds the reader for it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from scripts.lib.replay.documents import JsonRows, parsed
from scripts.lib.replay.rows import CsvRows, FileOptions, HistoryError, Record
from scripts.lib.replay.tables import read_excel, read_parquet
from scripts.lib.replay.xes import XesRows

STDIN = Path("-")
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_BY_NAME = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".xes": "xes",
    ".ndjson": "json", ".jsonl": "json", ".parquet": "parquet",
    ".xlsx": "excel", ".xls": "excel", ".xlsb": "excel", ".ods": "excel",
}  # fmt: skip
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_PEEK = 4096


class Rows(Protocol):
    """What a reader gives: the columns, where the format has them, and the records."""

    @property
    def columns(self) -> list[str] | None:
        """The names of the columns; None where each record has its own."""
        ...

    def __iter__(self) -> Iterator[Record]: ...


def expand(names: Sequence[str]) -> list[Path]:
    """The files of some names and globs, each glob's in order of name.

    Raises HistoryError where one matches nothing.
    """
    files: list[Path] = []
    for name in names:
        found = (
            [Path(name)] if name == "-" or Path(name).exists() else sorted(map(Path, glob(name)))
        )
        if not found:
            raise HistoryError(f"there is no file {name}")
        for path in found:
            files += (
                sorted(each for each in path.rglob("*") if each.is_file())
                if path.is_dir()
                else [path]
            )
    return files


@cache
def logical_name(name: str) -> str:
    """The name of a file whatever it is packed in: history.csv for history.csv.gz."""
    while name.lower().endswith(PACKED):
        name = name.rpartition(".")[0]
    return name


class History:
    """The records of some files, one after the other.

    `broken` says, once they are read, why a file could not be read to its end: what stood before
    is read all the same, and so are the files after it.
    """

    def __init__(self, files: Sequence[Path], options: FileOptions, *, raw: bool = False) -> None:
        self.files = files
        self.options = options
        self._as_lines = raw
        self.broken: list[str] = []
        self.columns: list[str] | None = None
        self.several = len(files) > 1
        self._done = 0
        self._raw: BinaryIO | None = None

    @property
    def is_table(self) -> bool:
        """Whether a file has columns, by its name: such a one needs a mapping."""
        kinds = {_BY_NAME.get(Path(logical_name(path.name).lower()).suffix) for path in self.files}
        return bool(kinds & {"csv", "parquet", "excel", "xes"})

    @property
    def size(self) -> int:
        """Bytes of all files; 0 of a stream."""
        return sum(path.stat().st_size for path in self.files if path != STDIN)

    def position(self) -> int:
        """Bytes that are read so far, packed as they are."""
        return self._done + (self._raw.tell() if self._raw and not self._raw.closed else 0)

    def records(self) -> Iterator[tuple[str, Record]]:
        """The records, each with the name of its file.

        Raises HistoryError where a file cannot be read at all.
        """
        for path in self.files:
            with _opened(path) as raw:
                self._raw = None if path == STDIN else raw
                read = False
                try:
                    for name, rows in _readers(path, raw, self.options):
                        self.columns = rows.columns
                        if self._as_lines and not isinstance(rows, JsonRows):
                            raise HistoryError(f"{path}: is no JSON; it needs --mapping")
                        if self._as_lines and isinstance(rows, JsonRows) and rows.is_lines:
                            for number, line in rows.lines():
                                read = True
                                yield name, Record(number, parsed(line) if line is None else line)
                            continue
                        for record in rows:
                            read = True
                            yield name, record
                except (HistoryError, *_BROKEN) as error:
                    text = (
                        error
                        if isinstance(error, HistoryError)
                        else f"{path}: {error or 'ends early'}"
                    )
                    if not read:
                        raise HistoryError(str(text)) from error
                    self.broken.append(str(text))
                if self._raw:
                    self._done += path.stat().st_size
                    self._raw = None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        raw = path.open("rb")
    except OSError as error:
        raise HistoryError(f"{path}: cannot be opened: {error.strerror}") from error
    with raw:
        yield raw


def _readers(path: Path, raw: BinaryIO, options: FileOptions) -> Iterator[tuple[str, Rows]]:
    """A reader for each document in a file, which is one but for ZIP."""
    for name, stream in _unpacked(path.name, raw):
        yield name, _reader(name, path, stream, options)


def _unpacked(name: str, raw: BinaryIO) -> Iterator[tuple[str, io.BufferedReader]]:
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
    head = stream.peek(_PEEK)
    bare = name.rpartition(".")[0] if name.lower().endswith(PACKED) else name
    if head[:2] == b"\x1f\x8b":
        yield from _unpacked(bare, _binary(gzip.GzipFile(fileobj=stream)))
    elif head[:4] == b"\x28\xb5\x2f\xfd":
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  seldom needed
        else:
            from backports import zstd  # noqa: PLC0415

        yield from _unpacked(bare, _binary(zstd.ZstdFile(stream)))
    elif head[:3] == b"BZh":
        yield from _unpacked(bare, _binary(bz2.BZ2File(stream)))
    elif head[:6] == b"\xfd7zXZ\x00":
        yield from _unpacked(bare, _binary(lzma.LZMAFile(stream)))  # noqa: SIM115  closed with the file
    elif head[:4] == b"PK\x03\x04" and _BY_NAME.get(Path(name.lower()).suffix) != "excel":
        if not stream.seekable():
            raise HistoryError(f"{name}: a ZIP cannot be read from a stream; name the file")
        with zipfile.ZipFile(stream) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith("/") or "__MACOSX/" in member:
                    continue
                with archive.open(member) as inner:
                    yield from _unpacked(Path(member).name, _binary(inner))
    else:
        yield name, stream


def _binary(stream: object) -> BinaryIO:
    return cast(BinaryIO, stream)  # they are, but do not say so


def _reader(name: str, path: Path, stream: io.BufferedReader, options: FileOptions) -> Rows:
    kind = options.format or _kind(name, stream.peek(_PEEK))
    if kind in ("parquet", "excel") and name != path.name:
        raise HistoryError(f"{name}: unpack it first; {kind} is read from a file of its own")
    match kind:
        case "parquet":
            return read_parquet(path)
        case "excel":
            return read_excel(path, options)
        case "xes":
            return XesRows(stream, name)
        case "json":
            return JsonRows(stream, name, options.encoding)
    return CsvRows(_text(stream, options), name, options)


def _kind(name: str, head: bytes) -> str:
    """The format, by the name and else by the first bytes."""
    kind = _BY_NAME.get(Path(name.lower()).suffix)
    if kind:
        return kind
    if head[:4] == b"PAR1":
        return "parquet"
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if text[:1] in (b"{", b"["):
        return "json"
    return "xes" if text[:1] == b"<" else "csv"


def _text(stream: io.BufferedReader, options: FileOptions) -> io.TextIOWrapper:
    """The text of a CSV file. What is not in its encoding becomes surrogates, in its row only."""
    encoding = options.encoding or encoding_of(stream.peek(_PEEK))
    errors = (
        "replace" if encoding.lower().replace("-", "").startswith("utf16") else "surrogateescape"
    )
    return io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="")


def encoding_of(head: bytes) -> str:
    """The encoding that a byte order mark tells; UTF-8 where there is none."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    return "utf-8-sig"
