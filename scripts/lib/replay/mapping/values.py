"""Where a field of a mapping comes from: columns, texts made of them, and what is done to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

Row = Mapping[str, Any]
Reader = Callable[[Row], Any]
COLUMN = re.compile(r"\{([^{}]+)\}")
_NUMBER = re.compile(r"[+-]?(\d+)(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "t": True, "yes": True, "1": True} | {
    "false": False, "f": False, "no": False, "0": False
}  # fmt: skip
MAX_DIGITS = 18  # of an integer, that fit into 64 bits; longer ones go on as decimals
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class RowError(Exception):
    """One row cannot be mapped; `code` is for counting, the text for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnmappedError(RowError):
    """A value of the row is in no entry of `values`."""


def as_text(value: object) -> str:
    """A value as JSON writes it, whole numbers as plain digits; a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal | float):
        number = Decimal(str(value))
        if number.is_finite() and -400 < number.adjusted() < 400:
            is_whole = number.adjusted() < 28 and number == number.to_integral_value()
            return format(number.quantize(Decimal(1)) if is_whole else number, "f")
    return _encode(value).decode()


def cell(row: Row, path: str) -> object:
    """The value of a column, or of what is nested in one, by its dotted path.

    A step goes into an object, into a text that holds JSON, and into an array: by number, or by
    the `key` of its objects, whose `value` it is then. None where there is nothing.
    """
    value = row.get(path)
    if value is None and "." in path:
        head, _, rest = path.partition(".")
        value = row.get(head)
        while rest and value is not None:  # the longest name first: keys may have dots
            value, rest = _step(value, rest)
    return None if value == "" else value


def _step(value: object, path: str) -> tuple[object, str]:
    if isinstance(value, str):
        value = _nested(value)
    if isinstance(value, dict):
        if path in value:
            return value[path], ""
        head, _, rest = path.partition(".")
        return value.get(head), rest
    if isinstance(value, list):
        head, _, rest = path.partition(".")
        if head.isdecimal():
            return (value[int(head)] if int(head) < len(value) else None), rest
        for name, left in ((path, ""), (head, rest)):
            for element in value:
                if isinstance(element, dict) and element.get("key") == name:
                    return _value_of(element.get("value")), left
    return None, ""


def _value_of(value: object) -> object:
    """The value itself, or that of BigQuery's `{"string_value": …, "int_value": …}`."""
    if isinstance(value, dict) and value and all(name.endswith("_value") for name in value):
        for name, each in value.items():
            if each is not None:
                is_number = name != "string_value" and isinstance(each, str)
                return Decimal(each) if is_number and _NUMBER.fullmatch(each) else each
        return None
    return value


@lru_cache(maxsize=64)  # the fields of a row ask for the same text one after the other
def _nested(text: str) -> object:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def column_reader(name: str, nulls: frozenset[str]) -> Reader:
    """Reads a column or path; None for an empty one."""
    if "." not in name and not nulls:

        def read_column(row: Row) -> object:
            value = row.get(name)
            return None if value == "" else value

        return read_column

    def read(row: Row) -> object:
        value = cell(row, name)
        return None if isinstance(value, str) and value in nulls else value

    return read


def template_reader(text: str, nulls: frozenset[str]) -> tuple[Reader, tuple[str, ...]]:
    """Reads a column, or fills a text with columns in braces; None where one is empty."""
    names = tuple(COLUMN.findall(text))
    if not names:
        return column_reader(text, nulls), (text,)
    readers = [column_reader(name, nulls) for name in names]
    pieces = COLUMN.split(text)[::2]
    form = "%s".join(piece.replace("%", "%%") for piece in pieces)

    def fill(row: Row) -> str | None:
        cells = []
        for read in readers:
            value = read(row)
            if value is None:
                return None
            cells.append(value if type(value) is str else as_text(value))
        return form % tuple(cells)

    return fill, names


def first_of(readers: Iterable[Reader]) -> Reader:
    """Reads the first that is not empty."""
    readers = tuple(readers)
    return lambda row: next((found for each in readers if (found := each(row)) is not None), None)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Tells whether a text fits; `*` stands for any characters, all others for themselves."""
    if "*" not in pattern:
        return pattern.__eq__
    fits = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch
    return lambda text: fits(text) is not None


def translated(read: Reader, values: Mapping[str, Any], where: str, others: str) -> Reader:
    """Puts the value of the first entry that fits in place of what `read` gives.

    What is in no entry is kept, left out, or raises UnmappedError, as `others` says.
    """
    entries = [(matcher(pattern), value) for pattern, value in values.items()]

    @lru_cache(maxsize=10_000)
    def translate(text: str) -> tuple[bool, object]:
        for fits, value in entries:
            if fits(text):
                return True, value
        return False, None

    def read_translated(row: Row) -> object:
        value = read(row)
        if value is None:
            return None
        text = value if type(value) is str else as_text(value)
        found, new = translate(text)
        if found:
            return new
        if others == "keep":
            return value
        if others == "leave_out":
            return None
        raise UnmappedError("unmapped", f"{where}.values has no entry for {text[:80]!r}")

    return read_translated


def converted(read: Reader, convert: Callable[[Any], object]) -> Reader:
    """Converts what `read` gives; nothing stays nothing."""

    def read_converted(row: Row) -> object:
        value = read(row)
        return None if value is None else convert(value)

    return read_converted


def number(where: str, decimal: str, thousands: str) -> Callable[[Any], object]:
    """Makes numbers; they keep the spelling of the file but for `.0`."""

    mark = re.escape(thousands)  # every three digits; in India every two before the last three
    end = rf"({re.escape(decimal)}\d*)?"
    grouped = re.compile(rf"[+-]?\d{{1,3}}({mark}\d\d\d?)*{mark}\d{{3}}{end}", re.ASCII)

    marks = str.maketrans({decimal: ".", ".": "?"})  # a point is none then

    @lru_cache(maxsize=10_000)
    def of_text(text: str) -> object:
        text = text.strip()
        if thousands and grouped.fullmatch(text):  # else 1,5 would be fifteen
            text = text.replace(thousands, "")
        if decimal != ".":
            text = text.translate(marks)
        found = _NUMBER.fullmatch(text)
        if not found:
            raise RowError("wrong_type", f"{where} is not a number in this row")
        whole, fraction, exponent = found.groups()
        if not exponent and not (fraction or ".").strip(".0") and len(whole) <= MAX_DIGITS:
            return int(f"-{whole}" if text[0] == "-" else whole)
        return Decimal(text)

    def convert(value: Any) -> object:  # noqa: ANN401  what a cell may hold
        return value if type(value) is int else of_text(as_text(value))

    return convert


def boolean(where: str) -> Callable[[Any], object]:
    """Makes booleans."""

    def convert(value: Any) -> object:  # noqa: ANN401
        try:
            return _BOOLEANS[as_text(value).strip().lower()]
        except KeyError:
            raise RowError("wrong_type", f"{where} is not a boolean in this row") from None

    return convert


def json(where: str) -> Callable[[Any], object]:
    """Reads JSON out of a text; what is no text stays."""

    def convert(value: Any) -> object:  # noqa: ANN401
        try:
            return _decode(value) if isinstance(value, str) else value
        except (msgspec.DecodeError, RecursionError):
            raise RowError("wrong_type", f"{where} is not JSON in this row") from None

    return convert
