"""Reads CSV: every line of the file is in a row, or is told.

The parser is Python's `csv`, in its strict form. DuckDB, Polars and pyarrow were tried instead:
each takes a quote that does not close for a cell that goes on to the next quote, or to the end of
the file, and says nothing. Here a row that spans lines and cannot be right costs its first line
only; reading goes on at the second.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence

from scripts.lib.replay.reading.records import (
    BROKEN,
    BadRow,
    Block,
    FileOptions,
    HistoryError,
    Row,
    encoding_of,
    in_blocks,
    text_of,
)

MAX_RECORD = 1 << 20  # characters of a row: as many bytes as the collector takes of an event
SEPARATORS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[-+]?\d[\d.,]*")
_TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")


class _TooLongError(Exception):
    pass


class _Lines(Iterator[str]):
    """The lines of a text; `taken` are those of the present row, which follows line `before`."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._readline = text.readline
        self._back: deque[str] = deque()
        self.size = self.before = 0
        self.taken: list[str] = []

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._readline(MAX_RECORD)
        if not line:
            raise StopIteration
        self.size = self.size + len(line) if self.taken else len(line)
        self.taken.append(line)
        if self.size >= MAX_RECORD:
            while not line.endswith(("\n", "\r")) and (line := self._readline(MAX_RECORD)):
                pass
            raise _TooLongError
        return line

    def begin(self) -> None:
        """Begins the next row."""
        self.before += len(self.taken)
        self.taken.clear()

    def back(self, kept: int) -> None:
        """Returns all lines of the row but the first ones."""
        self._back.extendleft(reversed(self.taken[kept:]))
        del self.taken[kept:]


class CsvRows:
    """The rows of a CSV text; `columns` are known as soon as it is made.

    Raises HistoryError where it has none, or two of one name.
    """

    def __init__(self, stream: io.BufferedReader, name: str, options: FileOptions) -> None:
        encoding = options.encoding or encoding_of(stream.peek(2))
        self._not_decoded = (
            f"is not {encoding.upper()}; if the file is in another encoding, name it: "
            "file: {encoding: windows-1252}"
        )
        self._lines = _Lines(text_of(stream, encoding))
        self._quote = options.quote
        self._separator = options.separator or ","
        self._skip_blanks = False
        try:
            for _ in range(options.skip_lines):
                next(self._lines)
                self._lines.begin()
            self.columns = list(options.columns) or self._header(name, options)
        except (StopIteration, _TooLongError):
            raise HistoryError(f"{name}: is empty; it has not even a header") from None

    def _header(self, name: str, options: FileOptions) -> list[str]:
        while not (line := next(self._lines)).strip():
            self._lines.begin()
        quote = re.escape(self._quote)
        bare = re.sub(rf"{quote}.*?{quote}", "", line)
        if not options.separator:
            self._separator = max(SEPARATORS, key=bare.count)
        separators = bare.count(self._separator)
        self._skip_blanks = separators > 0 and bare.count(f"{self._separator} ") == separators
        self._lines.back(0)
        try:
            columns = [cell.strip() for cell in next(self._reader())]
        except csv.Error as error:
            raise HistoryError(f"{name}: its header is not CSV: {error}") from error
        twice = sorted({each for each in columns if each and columns.count(each) > 1})
        if twice:
            raise HistoryError(
                f"{name}: has two columns {twice[0]!r}. Name all of them in the mapping: "
                "file: {skip_lines: 1, columns: [...]}"
            )
        return columns

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(
            self._lines,
            delimiter=self._separator,
            quotechar=self._quote,
            skipinitialspace=self._skip_blanks,
            strict=True,
        )

    def blocks(self) -> Iterator[Block]:
        """The rows, in their order."""
        return in_blocks(self._records())

    def _records(self) -> Iterator[tuple[int, Row, int]]:
        csv.field_size_limit(MAX_RECORD)
        columns, width, lines = self.columns, len(self.columns), self._lines
        reader = self._reader()
        while True:
            lines.begin()
            reason = ""
            cells: list[str] = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                reason = f"not CSV: {str(error) or 'longer than 1 MiB'}"
            if not reason and len(cells) != width:
                if not cells or (len(cells) == 1 and not cells[0].strip() and width > 1):
                    continue  # a blank line
                reason = f"has {len(cells)} cells where the header has {width}"
            elif len(lines.taken) > 1 and self._are_rows(lines.taken):
                reason = "a quote in it does not close before the next rows"
            if reason:
                lines.back(1)
                reader = self._reader()
            elif BROKEN in "".join(cells):
                reason = self._not_decoded
            row = BadRow("malformed", reason) if reason else dict(zip(columns, cells, strict=True))
            yield lines.before + 1, row, lines.size

    def _are_rows(self, lines: Sequence[str]) -> bool:
        """Whether each line has the cells of a row, and numbers and times where the first has."""
        width = len(self.columns)
        split = [
            line.replace(self._quote, "").strip("\r\n").split(self._separator) for line in lines
        ]
        if width < 3 or any(len(cells) != width for cells in split):
            return False
        kinds = [[_kind(cell) for cell in cells] for cells in split]
        told = [place for place, kind in enumerate(kinds[0]) if kind]
        return bool(told) and all(row[n] == kinds[0][n] for row in kinds for n in told)


def _kind(cell: str) -> str:
    cell = cell.strip()
    if _TIME.fullmatch(cell):
        return "time"
    return "number" if _NUMBER.fullmatch(cell) else ""
