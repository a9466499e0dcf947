"""Reads Parquet, with DuckDB, and spreadsheets, with calamine."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from scripts.lib.replay.reading.records import (
    BLOCK_ROWS,
    Block,
    FileOptions,
    HistoryError,
    Row,
    Rows,
    in_blocks,
)

MAX_SHEETS = 256 << 20  # bytes of a workbook, unpacked: calamine takes about twice that in memory
_SHEETS = (".xml", ".bin")


class _Table(NamedTuple):
    """Rows that come one after the other from a library, each with its number."""

    columns: list[str] | None
    numbered: Iterator[tuple[int, Row]]

    def blocks(self) -> Iterator[Block]:
        return in_blocks((number, row, _size(row)) for number, row in self.numbered)


def _size(row: Row) -> int:
    cells = row.values() if isinstance(row, dict) else ()
    return sum(len(cell) for cell in cells if isinstance(cell, str | bytes))


def read_parquet(path: Path) -> Rows:
    """The rows of a Parquet file, in its order. Raises HistoryError where it is none."""
    import duckdb  # noqa: PLC0415  70 MB that few histories need

    connection = duckdb.connect(config={"threads": 1, "memory_limit": "512MB"})
    try:
        described = connection.execute(
            "describe select * from read_parquet($path)", {"path": str(path)}
        ).fetchall()
    except duckdb.Error as error:
        raise HistoryError(f"{path}: is not Parquet: {str(error).splitlines()[0]}") from error
    columns = [str(name) for name, *_ in described]
    # DuckDB wants a package of time zones for these; microseconds it gives without.
    zoned = {str(name) for name, kind, *_ in described if kind == "TIMESTAMP WITH TIME ZONE"}
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in columns}
    selected = ", ".join(
        f"epoch_us({quoted[name]})" if name in zoned else quoted[name] for name in columns
    )

    def rows() -> Iterator[tuple[int, Row]]:
        query = f"select {selected} from read_parquet($path)"  # noqa: S608
        cursor = connection.execute(query, {"path": str(path)})
        number = 0
        while batch := cursor.fetchmany(BLOCK_ROWS):
            for cells in batch:
                number += 1
                row = {name: plain(cell) for name, cell in zip(columns, cells, strict=True)}
                for name in zoned:
                    if row[name] is not None:
                        row[name] = _from_epoch(row[name])
                yield number, row

    return _Table(columns, rows())


def read_excel(path: Path, options: FileOptions) -> Rows:
    """The rows of one sheet: the first, or `options.sheet`. Raises HistoryError.

    calamine holds a sheet in memory: a workbook of more than MAX_SHEETS is refused.
    """
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                members = packed.infolist()
            size = sum(each.file_size for each in members if each.filename.endswith(_SHEETS))
            if size > MAX_SHEETS:
                raise HistoryError(
                    f"{path}: its sheets have {size >> 20:,} MiB, more than the "
                    f"{MAX_SHEETS >> 20} that are read: save the sheet as CSV"
                )
        book = CalamineWorkbook.from_path(path)
        name = options.sheet or book.sheet_names[0]
        if name not in book.sheet_names:
            raise HistoryError(
                f"{path}: has no sheet {name!r}; it has {', '.join(book.sheet_names)}"
            )
        numbered = enumerate(book.get_sheet_by_name(name).iter_rows(), start=1)
    except (CalamineError, OSError, zipfile.BadZipFile) as error:
        raise HistoryError(f"{path}: cannot be read: {error}") from error
    filled = (
        (number, cells)
        for number, cells in numbered
        if number > options.skip_lines and any(cell != "" for cell in cells)
    )
    columns = list(options.columns)
    if not columns:
        _, header = next(filled, (0, []))
        columns = [str(plain(cell)).strip() for cell in header]
    if not columns:
        raise HistoryError(f"{path}: its sheet {name!r} is empty")
    named = [column for column in columns if column]
    twice = sorted({each for each in named if named.count(each) > 1})
    if twice:
        raise HistoryError(f"{path}: has two columns {twice[0]!r}; rename one")
    return _Table(
        columns,
        ((number, dict(zip(columns, map(plain, cells), strict=False))) for number, cells in filled),
    )


def plain(value: Any) -> Any:  # noqa: ANN401, PLR0911
    """A value as JSON has it: whole floats as integers, times as ISO 8601 texts."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) < 2**63 else Decimal(value)
        case float():
            if not math.isfinite(value):
                return None
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
        case datetime() | date() | time():
            return value.isoformat(*([" "] if isinstance(value, datetime) else []))
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case Decimal() | UUID() | timedelta():
            return value if isinstance(value, Decimal) else str(value)
        case bytes():
            return value.decode(errors="replace")
    return str(value)


def _from_epoch(microseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat()
