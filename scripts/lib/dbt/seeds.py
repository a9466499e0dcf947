"""What is wrong with the definitions in dbt_project/seeds, told before dbt starts.

Columns with their types, keys, accepted values and relationships are those that the project
declares for dbt. What more has to hold, of several rows together or of a range, stands here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml

from collector.contract import MAX_SCORE, MAX_TEXT, MIN_SCORE
from collector.registry import SeedError, read_seed
from scripts.lib.base.cli import UserError

_INTEGER = r"-?(0|[1-9][0-9]{0,8})"  # as PostgreSQL's type holds it, and in one way only
_CENTURY = 36_500  # days
_NO_VALUE = ("", "null")  # dbt reads both so, in either case
_TRUTH_VALUES = ("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0")
_WORDS = ("annotation", "description")  # columns for people to read, whose text may be any
_FREE = (*_WORDS, "property_value")  # columns whose words are not those of the project
_MOST = 100  # problems of a seed that are told at once
_SHOWN = 80  # characters of a value that are
_NAMED = 10  # names to choose from that are
# Names of what applications send: there a capital letter makes another one.
_SENT = ("event_type", "property", "source")
# Attributes that are taken for personal data until event_properties says that they are none.
_PERSONAL = r"(?i)e-?mail|phone|address|birth|iban|passport|(^|first|last|full|user)_?name$|^ip$"
# Types of a seed's columns, and tests by column and name; those of whole rows are of column "".
_Types = Mapping[str, str]
_Tests = Mapping[str, Mapping[str, Any]]
# Words that the marts use themselves.
_TAKEN = {
    ("funnels", "outcome"): ("open", "expired"),
    ("segments", "segment"): ("all", "band", "source"),
    ("score_bands", "band"): ("all", "unknown", "(other)"),
}
# What a metric can be of: what a column of a seed has, or nothing. Of others the data decide.
_SUBJECTS = {
    "events": None,
    "plan_violations": ("event_types", "event_type"),
    "attempts": ("funnels", "funnel"),
    "conversion_rate": ("funnels", "funnel"),
    "on_time_rate": ("score_bands", "band"),
}
# What is compared in lower case, and which of its characters it never has there.
_COMPARED = {
    ("unwanted_referrals", "host"): r"[A-Z/:]|^www\.",
    ("traffic_sources", "name"): r"[A-Z]|^www\.",
    ("illegal_ids", "id"): r"[A-Z]",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a seed. Its values are as dbt reads them, an empty text where it reads none."""

    seed: str
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        value = self.values[column]
        return "" if value.strip().lower() in _NO_VALUE else value

    def wrong(self, column: str, remedy: str) -> str:
        """One line: file, line, column, value, and what to do."""
        value = self[column]
        shown = repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
        return f"{_place(self.seed, self.line)}: {column} {shown} {remedy}"


_Seeds = Mapping[str, Sequence[Row]]


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
    rules: dict[str, Callable[[Sequence[Row]], Iterator[str]]] = {
        "alerts": partial(_alerts, seeds),
        "goals": partial(_goals, seeds),
        "annotations": partial(_annotations, seeds),
        "funnels": partial(_funnels, seeds),
        "segments": partial(_segments, seeds),
        "score_bands": _bands,
        "project_settings": partial(_settings, settings["vars"]),
    }
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
        if not wrong and seed in rules:
            wrong = list(islice(rules[seed](rows), _MOST + 1))
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


def _place(seed: str, line: int) -> str:
    return f"dbt_project/seeds/{seed}.csv line {line}"


def _read(path: Path, types: _Types) -> list[Row]:
    columns, rows = read_seed(path)
    if odd := sorted({*columns} ^ {*types}):
        raise SeedError(
            f"{_place(path.stem, 1)}: columns {odd}: the columns are {', '.join(types)}"
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
    value, place = row[column], (row.seed, column)
    is_tidy = column in _WORDS or (value == value.strip() and value.isprintable())
    if not is_tidy or "\0" in value:
        yield "has blanks around it or unseen characters: delete them"
    elif column not in _FREE and (misread := _misread(value)):
        yield misread
    elif kind == "integer" and not re.fullmatch(_INTEGER, value):
        yield "is no whole number: write up to nine digits and nothing else"
    elif kind == "date" and not _is_day(value):
        yield "is no day: write it as 2026-01-31"
    elif kind == "boolean" and value.lower() not in _TRUTH_VALUES:
        yield "is no truth value: write true or false"
    elif accepted and value not in accepted:
        yield f"is unknown: write one of {', '.join(accepted)}"
    elif value in _TAKEN.get(place, ()):
        yield "is a word that the marts use themselves: choose another one"
    elif place in _COMPARED and re.search(_COMPARED[place], value):
        yield "is compared with what is in lower case, without https:// and www.: write it so"


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


def _relations(rows: Sequence[Row], tests: _Tests, seeds: _Seeds) -> Iterator[str]:
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
        for row in rows if known else ():
            if row[column] and row[column] not in known:
                nearest = "".join(get_close_matches(row[column], sorted(known), 1))
                meant = f"write {nearest}, or " if nearest else ""
                yield row.wrong(column, f"is unknown: {meant}add it to seeds/{other}.csv")


def _alerts(seeds: _Seeds, rows: Sequence[Row]) -> Iterator[str]:
    limits = ("below", "above", "falls_percent", "rises_percent")
    for row in rows:
        yield from _metric(row, "below", "above", seeds)
        if not any(row[column] for column in limits):
            yield row.wrong(
                "below", f"is no limit, nor is another: write one of {', '.join(limits)}"
            )
        if row["below"] and row["above"] and int(row["below"]) > int(row["above"]):
            yield row.wrong("below", "is more than above: each value passes one; write less")
        yield from _outside(row, "falls_percent", 1, 100)
        yield from _outside(row, "rises_percent", 1, None)


def _goals(seeds: _Seeds, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        yield from _metric(row, "at_least", "at_most", seeds)
        if bool(row["at_least"]) == bool(row["at_most"]):
            yield row.wrong("at_least", "and at_most: write one of the two")
        if row["metric"] == "on_time_rate" and row["subject"]:
            yield row.wrong("subject", "is shown nowhere: goals are for all bands, leave it empty")
        adds_up = not row["metric"].endswith("_rate") and row["metric"] != "backlog"
        if adds_up and not row["days"]:
            yield row.wrong("days", "is missing: write in how many days so many are to come")
        elif row["days"] and not adds_up:
            yield row.wrong("days", f"means nothing to {row['metric']}: leave it empty")


def _annotations(seeds: _Seeds, rows: Sequence[Row]) -> Iterator[str]:
    funnels = {funnel["funnel"] for funnel in seeds.get("funnels", ())}
    for row in rows:
        if row["subject"] and row["subject"] not in funnels:
            yield row.wrong("subject", f"is no funnel: write one of {_named(funnels)}")
        if row["link"] and not re.fullmatch(r"https?://\S+", row["link"]):
            yield row.wrong("link", "is no address: begin it with https:// or http://")


def _metric(row: Row, least: str, most: str, seeds: _Seeds) -> Iterator[str]:
    """Limits that no value of the metric can pass, or that each does; and what it is never of.

    What is less than column `least` or more than column `most` passes. No metric is ever below 0,
    and no rate, which is in percent, above 100.
    """
    highest = 100 if row["metric"].endswith("_rate") else None
    yield from _outside(row, least, 1, highest)
    yield from _outside(row, most, 0, None if highest is None else highest - 1)
    yield from _outside(row, "days", 1, _CENTURY)
    if row["subject"] and row["metric"] in _SUBJECTS:
        of = _SUBJECTS[row["metric"]]
        known = {other[of[1]] for other in seeds.get(of[0], ())} if of else set()
        if row["subject"] not in known:
            meant = f"one of {_named(known)}, or " if known else ""
            yield row.wrong("subject", f"has no {row['metric']}: write {meant}none")


def _named(names: set[str]) -> str:
    shown = sorted(names)[:_NAMED]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")


def _outside(row: Row, column: str, least: int, most: int | None) -> Iterator[str]:
    value = int(row[column] or least)
    if value < least or (most is not None and value > most):
        range_ = f"{least} or more" if most is None else f"{least} to {most}"
        yield row.wrong(column, f"of {row['metric']} is passed never or always: write {range_}")


def _classes(seeds: _Seeds) -> dict[tuple[str, str], str]:
    """Of each event type and its attributes how personal they are, by the tracking plan."""
    plan = seeds.get("event_properties", ())
    return {(row["event_type"], row["property"]): row["pii_class"] for row in plan}


def _segments(seeds: _Seeds, rows: Sequence[Row]) -> Iterator[str]:
    begins = {row["event_type"] for row in seeds.get("funnels", ()) if row["step_order"] == "1"}
    classes = _classes(seeds)
    for row in rows:
        name = row["property"]
        of = {kind for (event, each), kind in classes.items() if each == name and event in begins}
        if of - {"none"} or (not of and re.search(_PERSONAL, name)):
            yield row.wrong(
                "property",
                "is personal data, which marts do not show: take another one, or write "
                "in seeds/event_properties.csv that its pii_class is none",
            )


def _funnels(seeds: _Seeds, rows: Sequence[Row]) -> Iterator[str]:
    classes = _classes(seeds)
    last = Counter(row["funnel"] for row in rows if row["step_order"])
    outcomes = {(row["funnel"], row["step_order"]): row["outcome"] for row in rows}
    first: dict[str, Row] = {}
    steps: set[tuple[str, int]] = set()
    for row in rows:
        funnel, outcome, window = row["funnel"], row["outcome"], row["window_days"]
        same = first.setdefault(funnel, row)
        order = int(row["step_order"] or 0)
        if bool(row["property"]) != bool(row["property_value"]):
            yield row.wrong("property", "goes with a property_value: write both or none")
        elif classes.get((row["event_type"], row["property"])) == "direct_identifier":
            yield row.wrong("property", "identifies somebody and is in no model: take another one")
        if window and not 1 <= int(window) <= _CENTURY:
            yield row.wrong("window_days", f"is none: 1 to {_CENTURY}, or empty for no limit")
        elif window != same["window_days"]:
            yield row.wrong("window_days", f"is another than in line {same.line}: write one in all")
        if not row["step_order"]:
            if not last[funnel]:
                yield row.wrong("funnel", "has no step: write one with step_order 1")
            if outcome in ("", "converted", outcomes.get((funnel, str(last[funnel])))):
                yield row.wrong("outcome", "is that of the last step or none: name the end's own")
        elif (funnel, order) in steps or not 1 <= order <= last[funnel]:
            yield row.wrong("step_order", "has to count from 1, each once, without gaps")
        elif outcome and order < last[funnel]:
            yield row.wrong("outcome", "is on a middle step: only the last one and ends have it")
        steps.add((funnel, order))


def _bands(rows: Sequence[Row]) -> Iterator[str]:
    expected, order = MIN_SCORE, -(10**9)
    for row in sorted(rows, key=lambda row: int(row["min_score"])):
        lowest, highest = int(row["min_score"]), int(row["max_score"])
        if lowest != expected:
            yield row.wrong("min_score", f"leaves a gap or overlaps: has to be {expected}")
        if highest < lowest:
            yield row.wrong("max_score", f"is below min_score {lowest}: write a higher one")
        if int(row["band_order"]) <= order:
            yield row.wrong("band_order", "has to grow with the scores")
        expected, order = highest + 1, int(row["band_order"])
    if expected != MAX_SCORE + 1:
        place = _place("score_bands", len(rows) + 1)
        yield f"{place}: bands end at {expected - 1}: has to be {MAX_SCORE}"


def _settings(variables: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """By the settings that the project knows, each with its least value; the time zone has none."""
    known, most = variables["known_settings"], variables["largest_setting"]
    for name in sorted(known.keys() - {row["setting"] for row in rows}):
        yield f"{_place('project_settings', len(rows) + 1)}: {name} is missing: add its row"
    zones = available_timezones()
    for row in rows:
        name, value = row["setting"], row["value"]
        if name not in known:
            yield row.wrong("setting", f"is unknown: write one of {', '.join(known)}")
        elif known[name] is None:
            if value.lower() not in {each.lower() for each in zones}:
                meant = [*get_close_matches(value, zones, 1), "Europe/Berlin"][0]
                yield row.wrong("value", f"is no time zone: write a name such as {meant}")
        elif not re.fullmatch(_INTEGER, value) or not known[name] <= int(value) <= most:
            yield row.wrong("value", f"of {name}: write a whole number, {known[name]} to {most}")
