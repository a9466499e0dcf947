"""Reading a history: each record is there or told, whatever stands beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.replay.reading.records import HistoryError
from tests.support.reading import lines, read, write


@pytest.mark.parametrize(
    "bad",
    [
        {10: 'q-10,view,2026-01-01T00:00:00Z,"note 10'},
        {10: '"q-10,view,2026-01-01T00:00:00Z,note 10'},
        {10: 'q-10,"view,2026-01-01T00:00:00Z,note 10', 20: 'q-20,view,2026-01-01T00:00:00Z,"x'},
        {10: 'q-10,view,2026-01-01T00:00:00Z,"note 10', 11: 'q-11,view,2026-01-01T00:00:00Z,x"'},
        {10: 'q-10,view,2026-01-01T00:00:00Z,"note 10', 900: 'q-9,view,2026-01-01T00:00:00Z,x"'},
        {3000: 'q-3000,view,2026-01-01T00:00:00Z,"'},
        {10: "q-10,view", 11: "a,b,c,d,e"},
    ],
)
def test_a_bad_row_costs_itself_alone(tmp_path: Path, bad: dict[int, str]) -> None:
    found = read(write(tmp_path, lines(3000, bad)))
    good = [row for row in found if isinstance(row, dict)]
    assert len(found) == 3000
    # The second of two quotes is a mark within a cell: a row as good as any.
    told = {n for n, row in enumerate(found, 1) if isinstance(row, str)}
    assert {min(bad)} <= told <= set(bad)
    assert {row["id"] for row in good} >= {f"q-{n}" for n in range(1, 3001) if n not in bad}


def test_cells_may_have_lines(tmp_path: Path) -> None:
    text = 'id,kind,at,note\n1,view,2026-01-01,"a\nb,c\n2,3"\n2,view,2026-01-02,""\n'
    assert [row["note"] for row in read(write(tmp_path, text)) if isinstance(row, dict)] == [
        "a\nb,c\n2,3",
        "",
    ]


def test_a_record_is_bounded(tmp_path: Path) -> None:
    text = (
        "id,note\n1,a\n"
        + f"2,{'x' * 3_000_000}\n"
        + '3,"'
        + ("y" * 30 + "\n") * 40_000
        + '"\n4,b\n'
    )
    found = read(write(tmp_path, text))
    good = [row for row in found if isinstance(row, dict)]
    assert [row["id"] for row in good] == ["1", "4"]
    assert found[1] == "3: not CSV: longer than 1 MiB"


CELL = st.text(alphabet="abé,;\"'\n\r |\t0", max_size=8)


@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12))
@settings(max_examples=150, deadline=None)
def test_what_csv_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:  # noqa: ANN401
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    path = write(tmp_path_factory.mktemp("csv"), text.getvalue())
    assert read(path) == [dict(zip("abc", row, strict=True)) for row in rows]


@st.composite
def faulty(draw: st.DrawFn) -> tuple[str, Sequence[str]]:
    """A CSV whose rows are whole or have a fault, and the ids of those that are whole."""
    text, whole = ["id,kind,at,note"], []
    for n in range(draw(st.integers(1, 30))):
        start = f"q{n},view,2026-01-01T00:00:00Z"
        fault = draw(st.sampled_from(["", "", "", "", "open", "short", "long", "blank", "quoted"]))
        match fault:
            case "open":
                text.append(f'{start},"no end {n}')
            case "short":
                text.append(f"q{n},view")
            case "long":
                text.append(f"{start},a,b")
            case "blank":
                text.append("")
            case "quoted":
                text.append(f'{start},"a ""b"" c"')
                whole.append(f"q{n}")
            case _:
                text.append(f"{start},note {n}")
                whole.append(f"q{n}")
    return "\n".join(text) + "\n", whole


@given(faulty())
@settings(max_examples=200, deadline=None)
def test_faults_cost_their_own_lines(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, Sequence[str]]
) -> None:
    text, whole = case
    found = read(write(tmp_path_factory.mktemp("faults"), text))
    assert [row["id"] for row in found if isinstance(row, dict)] == whole
    records = sum(bool(line) for line in text.splitlines()[1:])
    assert len(found) == records


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("a;b\n1;é\n", {}),
        ("a\tb\n1\té\n", {}),
        ("a|b\n1|é\n", {}),
        ("a, b\n1, é\n", {}),
        ('a, b\n1, "é"\n', {}),
        ("\n\na,b\n\n1,é\n\n", {}),
        ("\ufeffa,b\r\n1,é\r\n", {}),
        ("a,b\r1,é\r", {}),
        ("Report of March\nfor Ada\na,b\n1,é\n", {"skip_lines": 2}),
        ("1,é\n", {"columns": ["a", "b"]}),
        ("x,y\n1,é\n", {"columns": ["a", "b"], "skip_lines": 1}),
        ("a,b\n1,'é'\n", {"quote": "'"}),
        ("a,b\n1,é\n".encode("utf-16"), {}),
        ("a,b\n1,é\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("a,b\n1,é\n".encode("cp1252"), {"encoding": "windows-1252"}),
    ],
)
def test_csv_of_any_kind(tmp_path: Path, content: str | bytes, options: dict[str, Any]) -> None:
    assert read(write(tmp_path, content), **options) == [{"a": "1", "b": "é"}]


def test_a_row_in_another_encoding_is_told_with_the_way_out(tmp_path: Path) -> None:
    found = read(write(tmp_path, b"a,b\n1,caf\xe9\n2,x\n"))
    assert found == [
        "2: is not UTF-8; if the file is in another encoding, name it: "
        "file: {encoding: windows-1252}",
        {"a": "2", "b": "x"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("\n\n", "is empty"), ("a,b,a\n1,2,3\n", "has two columns 'a'")],
)
def test_what_has_no_header_is_said(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        read(write(tmp_path, content))


def test_lines_are_objects_of_their_own(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"a": 1}\r',
        b"\r",
        b'  {"a": 2} ',
        b'{"a": 3} {"a": 4}',  # with the next two: as many objects as lines
        b'{"a": ',
        b"5}",
        b'{"a": "\xff"}',
        b'{"a": "' + b"x" * (5 << 20) + b'"}',
        b'{"a": 6}',
    ]
    found = read(write(tmp_path, b"\n".join(lines), "h.jsonl"))
    assert [row for row in found if isinstance(row, dict)] == [{"a": 1}, {"a": 2}, {"a": 6}]
    assert [row.partition(":")[0] for row in found if isinstance(row, str)] == list("45678")
    assert found[-2] == "8: longer than 4,194,304 bytes"


@pytest.mark.parametrize("name", ["h.csv", "h.jsonl", "h.json"])
def test_what_is_not_in_its_encoding_is_told_in_any(tmp_path: Path, name: str) -> None:
    texts = {"h.csv": "a\n1\n2?\n3\n", "h.jsonl": '{"a": "1"}\n{"a": "2?"}\n{"a": "3"}\n'}
    text = texts.get(name, '[{"a": "1"}, {"a": "2?"}, {"a": "3"}]')
    alone = b"\x00\xd8"  # half of a character
    content = b"\xff\xfe" + text.encode("utf-16-le").replace("?".encode("utf-16-le"), alone)
    found = read(write(tmp_path, content, name))
    assert [row if isinstance(row, dict) else "" for row in found] == [{"a": "1"}, "", {"a": "3"}]


OBJECTS: list[dict[str, Any]] = [{"a": n, "b": {"c": [1.50, "é"]}} for n in range(2000)]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_arrays_and_lines_are_the_same(tmp_path: Path, indent: int | None) -> None:
    array = write(tmp_path, json.dumps(OBJECTS, indent=indent), "a.json")
    ndjson = write(tmp_path, "\n".join(map(json.dumps, OBJECTS)), "b.json")
    marked = write(tmp_path, "\ufeff" + "\n\n".join(map(json.dumps, OBJECTS)), "c.jsonl")
    wide = write(tmp_path, "\n".join(map(json.dumps, OBJECTS)).encode("utf-16"), "d.ndjson")
    assert read(array) == read(ndjson) == read(marked) == read(wide)
    assert len(read(array)) == 2000


@pytest.mark.parametrize(
    ("text", "good", "message"),
    [
        ('[{"a": 1}, {"a": 2, }, {"a": 3}]', 1, "element 2 of its array is not JSON"),
        ('[{"a": 1}, {"a": 2}', 2, "ends within its array"),
        ('[{"a": 1}, {"a": ', 1, "element 2 of its array is not JSON"),
        ('[{"a": 1} {"a": 2}]', 1, "is not JSON after element 1"),
        ('[{"a": 1}, 7]', 1, "2: not a JSON object"),
    ],
)
def test_an_array_is_read_as_far_as_it_is_one(
    tmp_path: Path, text: str, good: int, message: str
) -> None:
    found = read(write(tmp_path, text, "a.json"))
    assert [row for row in found if isinstance(row, dict)] == [{"a": n + 1} for n in range(good)]
    assert message in str(found[-1])
