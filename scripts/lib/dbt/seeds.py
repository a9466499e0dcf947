"""What is wrong with the definitions in dbt_project/seeds, told before dbt starts.

Columns with their types, keys, accepted values and relationships are those that the project
declares for dbt. What more has to hold, of several rows together or of a range, stands in
`seed_rules`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Any

import yaml

from collector.contract import MAX_TEXT
from collector.registry import SeedError, read_seed
from scripts.lib.base.cli import UserError
from scripts.lib.dbt.seed_rows import INTEGER, Row, Seeds, place
from scripts.lib.dbt.seed_rules import rules

_TRUTH_VALUES = ("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0")
_WORDS = ("annotation", "description")  # columns for people to read, whose text may be any
_FREE = (*_WORDS, "property_value")  # columns whose words are not those of the project
_MOST = 100  # problems of a seed that are told at once
# Names of what applications send: there a capital letter makes another one.
_SENT = ("event_type", "property", "source")
# Types of a seed's columns, and tests by column and name; those of whole rows are of column "".
_Types = Mapping[str, str]
_Tests = Mapping[str, Mapping[str, Any]]
# Words that the marts use themselves.
_TAKEN = {
    ("funnels", "outcome"): ("open", "expired"),
    ("segments", "segment"): ("all", "band", "source"),
    ("score_bands", "band"): ("all", "unknown", "(other)"),
}
# What is compared in lower case, and which of its characters it never has there.
_COMPARED = {
    ("unwanted_referrals", "host"): r"[^a-z0-9._-]|^www\.|^\.|\.$|\.\.",
    ("traffic_sources", "name"): r"[A-Z]|^www\.",
    ("illegal_ids", "id"): r"[A-Z]",
}


def require_sound_seeds(project: Path) -> None:
    """Raises UserError where the definitions of a dbt project are not sound, a line for each."""
    if found := problems(project):
        raise UserError("\n".join(found))


def problems(project: Path) -> list[str]:
    """What is wrong with the seeds that a dbt project declares, file by file."""
    try:
        settings, properties = (
            yaml.load((project / name).read_text(), yaml.CSafeLoader)
            for name in ("dbt_project.yml", "seeds/_seeds.yml")
        )
    except (OSError, yaml.YAMLError):  # a project may have no seeds; dbt tells what is broken
        return []
    declared = _declared(settings, properties)
    seeds: dict[str, list[Row]] = {}
    of_rows = rules(seeds, settings["vars"])
    found: list[str] = []
    for seed, (types, _) in declared.items():
        try:
            seeds[seed] = _read(project / "seeds" / f"{seed}.csv", types)
        except FileNotFoundError:
            found.append(f"dbt_project/seeds/{seed}.csv is missing: take it back from git")
        except SeedError as error:
            found.append(str(error))
    for seed, rows in seeds.items():
        types, tests = declared[seed]
        told = chain(_values(rows, types, tests), _relations(rows, tests, seeds))
        wrong = list(islice(told, _MOST + 1))
        # Not while a seed cannot be read: what it has would be missed in others.
        if not wrong and seed in of_rows and len(seeds) == len(declared):
            wrong = list(islice(of_rows[seed](rows), _MOST + 1))
        if len(wrong) > _MOST:
            wrong[-1] = f"dbt_project/seeds/{seed}.csv has more of that: mend these first"
        found += wrong
    return found


def _declared(
    settings: Mapping[str, Any], properties: Mapping[str, Any]
) -> dict[str, tuple[_Types, _Tests]]:
    """Of each seed its columns, by dbt_project.yml, and its tests, by _seeds.yml."""
    tests = {
        seed["name"]: {each.get("name", ""): _tests(each) for each in seed.get("columns", ())}
        | {"": _tests(seed)}
        for seed in properties["seeds"]
    }
    return {
        seed: (configuration["+column_types"], tests.get(seed, {}))
        for seed, configuration in settings["seeds"][settings["name"]].items()
        if not seed.startswith("+") and "+column_types" in configuration
    }


def _tests(of: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    named = [{each: {}} if isinstance(each, str) else each for each in of.get("data_tests", ())]
    return {name: body.get("arguments", {}) for each in named for name, body in each.items()}


def _read(path: Path, types: _Types) -> list[Row]:
    columns, rows = read_seed(path)
    odd = {"missing": {*types} - {*columns}, "not known": {*columns} - {*types}}
    if told := [
        f"{how} {', '.join(map(repr, sorted(names)))}" for how, names in odd.items() if names
    ]:
        raise SeedError(
            f"{place(path.stem, 1)}: {'; '.join(told)}: the columns are {', '.join(types)}"
        )
    return [Row(path.stem, line, values) for line, values in rows]


def _values(rows: Sequence[Row], types: _Types, tests: _Tests) -> Iterator[str]:
    """What is wrong with single values: how they are written, and by type and tests of a column."""
    for row in rows:
        for column, kind in types.items():
            accepted = tests.get(column, {}).get("accepted_values", {}).get("values", [])
            if row[column]:
                for remedy in _remedies(row, column, kind, accepted):
                    yield row.wrong(column, remedy)
            elif accepted or "not_null" in tests.get(column, {}):
                yield row.wrong(column, "is missing: write one")


def _remedies(row: Row, column: str, kind: str, accepted: Sequence[str]) -> Iterator[str]:
    value, column_of = row[column], (row.seed, column)
    is_tidy = column in _WORDS or (value == value.strip() and value.isprintable())
    if not is_tidy or "\0" in value:
        yield "has blanks around it or unseen characters: delete them"
    elif column not in _FREE and (misread := _misread(value)):
        yield misread
    elif kind == "integer" and not re.fullmatch(INTEGER, value):
        yield "is no whole number: write up to nine digits and nothing else"
    elif kind == "date" and not _is_day(value):
        yield "is no day: write it as 2026-01-31"
    elif kind == "boolean" and value.lower() not in _TRUTH_VALUES:
        yield "is no truth value: write true or false"
    elif accepted and value not in accepted:
        yield f"is unknown: write one of {', '.join(accepted)}"
    elif value.casefold() in _TAKEN.get(column_of, ()):
        yield "is a word that the marts use themselves: choose another one"
    elif column_of in _COMPARED and re.search(_COMPARED[column_of], value):
        yield "is compared with what is in lower case, without https://, www. and *: write it so"


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _misread(value: str) -> str:
    """What makes a name another one than it looks; nothing where it is the one."""
    scripts = {unicodedata.name(each, "?").split()[0] for each in value if each.isalpha()}
    if not unicodedata.is_normalized("NFC", value):
        return "has letters in two parts: write each as one character (Unicode's form NFC)"
    if "LATIN" in scripts and (alike := scripts & {"CYRILLIC", "GREEK", "FULLWIDTH"}):
        return f"has Latin letters and others that look so ({min(alike).title()}): write one kind"
    if value.count('"') % 2:
        return "has a quote that is not closed: delete or close it"
    if len(value) > MAX_TEXT:
        return f"has {len(value)} characters: write at most {MAX_TEXT}"
    return ""


def _relations(rows: Sequence[Row], tests: _Tests, seeds: Seeds) -> Iterator[str]:
    """What is wrong with keys, and with values that have to be in another seed."""
    for column, of in tests.items():
        key = [column] if "unique" in of else of.get("unique_combination", {}).get("columns", [])
        lines: dict[tuple[str, ...], int] = {}
        for row in rows if key else ():
            values = tuple(row[each] if each in _SENT else row[each].casefold() for each in key)
            line = lines.setdefault(values, row.line)
            if line != row.line:
                yield row.wrong(key[-1], f"is in line {line} too: delete or rename one of them")
        related = of.get("relationships", {})
        other = related.get("to", "").removeprefix("ref('").removesuffix("')")
        known = {row[related["field"]] for row in seeds.get(other, ())}
        for row in rows if other in seeds else ():
            if row[column] and row[column] not in known:
                nearest = "".join(get_close_matches(row[column], sorted(known), 1))
                meant = f"write {nearest}, or " if nearest else ""
                yield row.wrong(column, f"is unknown: {meant}add it to seeds/{other}.csv")
