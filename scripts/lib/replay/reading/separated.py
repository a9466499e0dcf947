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
    """The lines of a text; `taken` are those of the present row, which `back` returns."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._readline = text.readline
        self._back: deque[str] = deque()
        self.size = 0
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

    def back(self) -> None:
        """Returns all lines of the row but its first."""
        self._back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


class CsvRows:
    """The rows of a CSV text; `columns` are known as soon as it is made.

    Raises HistoryError where it has none, or two of one name.
    """

    def __init__(self, stream: io.BufferedReader, name: str, options: FileOptions) -> None:
        encoding = options.encoding or encoding_of(stream.peek(2))
        self._lines = _Lines(text_of(stream, encoding))
        self._line = 0
        for _ in range(options.skip_lines):
            next(self._lines, None)
        self._quote = options.quote
        self._separator = options.separator or ","
        self._skip_blanks = False
        self.columns = list(options.columns)
        while not self.columns:
            self._line += len(self._lines.taken)
            self._lines.taken.clear()
            try:
                line = next(self._lines)
            except (StopIteration, _TooLongError):
                raise HistoryError(f"{name}: is empty; it has not even a header") from None
            if line.strip():
                self.columns = self._header(line, name, options)
        if options.columns:
            self._line += len(self._lines.taken)
            self._lines.taken.clear()

    def _header(self, line: str, name: str, options: FileOptions) -> list[str]:
        bare = re.sub(rf"{re.escape(self._quote)}.*?{re.escape(self._quote)}", "", line)
        if not options.separator:
            self._separator = max(SEPARATORS, key=bare.count)
        separators = bare.count(self._separator)
        self._skip_blanks = separators > 0 and bare.count(f"{self._separator} ") == separators
        try:
            self._lines.taken.clear()
            self._lines._back.appendleft(line)
            cells = next(self._reader())
        except (csv.Error, _TooLongError) as error:
            raise HistoryError(f"{name}: its header is not CSV: {error}") from error
        self._line += len(self._lines.taken)
        self._lines.taken.clear()
        columns = [cell.strip() for cell in cells]
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
        taken, reader, reason = lines.taken, self._reader(), ""
        while True:
            taken.clear()
            cells: list[str] | None
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                cells = None
                reason = f"not CSV: {str(error) or 'longer than 1 MiB'}"
            place = self._line + 1
            if cells is not None and len(cells) != width:
                if not cells or (len(cells) == 1 and not cells[0].strip() and width > 1):
                    self._line += len(taken)  # a blank line
                    continue
                reason = f"has {len(cells)} cells where the header has {width}"
                cells = None
            if cells is not None and len(taken) > 1 and self._are_rows(taken):
                reason = "a quote in it does not close before the next rows"
                cells = None
            if cells is None:
                lines.back()
                reader = self._reader()
                self._line += 1
                yield place, BadRow("malformed", reason), lines.size
                continue
            self._line += len(taken)
            if BROKEN in "".join(cells):
                yield place, BadRow("malformed", _NOT_UTF8), lines.size
            else:
                yield place, dict(zip(columns, cells, strict=True)), lines.size

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


_NOT_UTF8 = (
    "is not UTF-8; if the file is in another encoding, name it: file: {encoding: windows-1252}"
)


def _kind(cell: str) -> str:
    cell = cell.strip()
    if _TIME.fullmatch(cell):
        return "time"
    return "number" if _NUMBER.fullmatch(cell) else ""
