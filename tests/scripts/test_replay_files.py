"""What a history is kept in: packed files, Parquet and spreadsheets are read as lines are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.lib.replay.reading.files import History
from scripts.lib.replay.reading.records import FileOptions, HistoryError
from tests.support.reading import lines, read, write


def packed(content: bytes) -> dict[str, bytes]:
    from backports import zstd  # noqa: PLC0415

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("folder/b.csv", content)
        members.writestr("folder/a.csv.gz", gzip.compress(content))
        members.writestr("__MACOSX/folder/._b.csv", b"\0\1")
    return {
        "h.csv.gz": gzip.compress(content),
        "h.csv.bz2": bz2.compress(content),
        "h.csv.xz": lzma.compress(content),
        "h.csv.zst": zstd.compress(content),
        "h.zip": archive.getvalue(),
    }


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    plain = read(write(tmp_path, lines(100, {})))
    for name, content in packed(lines(100, {}).encode()).items():
        assert read(write(tmp_path, content, name)) == plain * (2 if name == "h.zip" else 1), name


def test_what_stands_before_a_damage_is_read(tmp_path: Path) -> None:
    content = gzip.compress(lines(50_000, {}).encode())
    found = read(write(tmp_path, content[:-2000], "h.csv.gz"))
    assert len(found) > 10_000
    assert "ended before" in str(found[-1])


def test_parquet_and_excel(tmp_path: Path) -> None:
    import duckdb  # noqa: PLC0415

    path = tmp_path / "h.parquet"
    duckdb.sql(
        f"""
        copy (
            select
                range as n,
                timestamptz '2026-01-31 12:00:00+00' as at,
                timestamp '2026-01-31 12:00:00.5' as local,
                date '2026-01-31' as day,
                1.50::decimal(9, 2) as price,
                2.0::double as whole,
                'nan'::double as nothing,
                true as ok,
                [{{'key': 'page', 'value': {{'string_value': '/', 'int_value': null}}}}] as params
            from range(5000)
        ) to '{path}'
        """  # noqa: S608
    )
    found = read(path)
    assert [row["n"] for row in found if isinstance(row, dict)] == list(range(5000))
    row = found[7]
    assert isinstance(row, dict)
    assert {name: str(value) for name, value in row.items() if name != "params"} == {
        "n": "7",
        "at": "2026-01-31T12:00:00+00:00",
        "local": "2026-01-31 12:00:00.500000",
        "day": "2026-01-31",
        "price": "1.50",
        "whole": "2",
        "nothing": "None",
        "ok": "True",
    }
    assert row["params"][0]["value"]["string_value"] == "/"
    with pytest.raises(HistoryError, match="is not Parquet"):
        read(write(tmp_path, "a,b\n", "x.parquet"))
    with pytest.raises(HistoryError, match="cannot be read"):
        read(write(tmp_path, "a,b\n", "x.xlsx"))


def sheet(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A workbook with one sheet, as far as readers need it, from its second row and column on."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    cells = "".join(
        f'<row r="{r}">'
        + "".join(
            f'<c r="{"BCDEF"[c]}{r}" t="str"><v>{cell}</v></c>'
            if isinstance(cell, str)
            else f'<c r="{"BCDEF"[c]}{r}"><v>{cell}</v></c>'
            for c, cell in enumerate(row)
        )
        + "</row>"
        for r, row in enumerate(rows, 2)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{kinds}"><sheets>'
            '<sheet name="Log" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        for name, kind, target in (
            ("_rels/.rels", "officeDocument", "xl/workbook.xml"),
            ("xl/_rels/workbook.xml.rels", "worksheet", "worksheets/sheet1.xml"),
        ):
            book.writestr(
                name,
                f'<Relationships xmlns="{relations}"><Relationship Id="r1" '
                f'Type="{kinds}/{kind}" Target="{target}"/></Relationships>',
            )
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
        )
    return path


def test_a_sheet_is_read_row_by_row_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sheet(tmp_path / "h.xlsx", [["a", "b"], *([f"x{n}", n] for n in range(1200))])
    history = History([path], FileOptions())
    blocks = [block for _, block in history.blocks()]
    assert [len(block.rows) for block in blocks] == [500, 500, 200]
    assert (blocks[0].places[0], blocks[0].rows[0]) == (3, {"a": "x0", "b": 0})
    monkeypatch.setattr("scripts.lib.replay.reading.tables.MAX_SHEETS", 1 << 10)
    with pytest.raises(HistoryError, match="save the sheet as CSV"):
        read(path)
