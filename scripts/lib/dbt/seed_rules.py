"""What has to hold of several rows of a seed together, or of a range: a rule for each seed.

Each yields what is wrong, a line each; single values and keys are those that `seeds` has looked at.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any
from zoneinfo import available_timezones

from collector.contract import MAX_SCORE, MIN_SCORE
from scripts.lib.dbt.seed_rows import INTEGER, Row, Seeds, place

_NUMBER = r"-?[0-9]{1,255}([.][0-9]{1,255})?([eE][+-]?[0-9]{1,3})?"  # as macro is_value reads it
_CENTURY = 36_500  # days
_ALMOST = 0.8  # of a name that is another's but for a slip; 1 is the same
_NAMED = 10  # names to choose from that are told
# Attributes that are taken for personal data until event_properties says that they are none.
_PERSONAL = r"(?i)e-?mail|phone|address|birth|iban|passport|(^|first|last|full|user)_?name$|^ip$"
_NO_ZONES = {"Factory", "localtime"}  # names without a place of their own
# What a metric can be of: what a column of a seed has, or nothing. Of others the data decide.
_SUBJECTS = {
    "events": None,
    "plan_violations": ("event_types", "event_type"),
    "attempts": ("funnels", "funnel"),
    "conversion_rate": ("funnels", "funnel"),
    "on_time_rate": ("score_bands", "band"),
}


def rules(
    seeds: Seeds, variables: Mapping[str, Any]
) -> dict[str, Callable[[Sequence[Row]], Iterator[str]]]:
    """By seed; `variables` are those of dbt_project.yml."""
    return {
        "alerts": partial(_alerts, seeds),
        "goals": partial(_goals, seeds),
        "annotations": partial(_annotations, seeds),
        "funnels": partial(_funnels, seeds),
        "segments": partial(_segments, seeds),
        "score_bands": _bands,
        "project_settings": partial(_settings, variables),
    }


def _alerts(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
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


def _goals(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
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


def _annotations(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
    funnels = {funnel["funnel"] for funnel in seeds.get("funnels", ())}
    for row in rows:
        if row["subject"] and row["subject"] not in funnels:
            meant = f"one of {_named(funnels)}, or " if funnels else ""
            yield row.wrong("subject", f"is no funnel: write {meant}none")
        if row["link"] and not re.fullmatch(r"https?://\S+", row["link"]):
            yield row.wrong("link", "is no address: begin it with https:// or http://")


def _metric(row: Row, least: str, most: str, seeds: Seeds) -> Iterator[str]:
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


def _classes(seeds: Seeds) -> dict[tuple[str, str], str]:
    """Of each event type and its attributes how personal they are, by the tracking plan."""
    plan = seeds.get("event_properties", ())
    return {(row["event_type"], row["property"]): row["pii_class"] for row in plan}


def _unplanned(row: Row, planned: Collection[str]) -> str:
    """What a property that the plan lacks is meant to be, where that is almost one of the plan."""
    name = row["property"]
    if not name or name in planned:
        return ""
    spelled = {each.casefold(): each for each in planned}
    nearest = get_close_matches(name.casefold(), spelled, 1, _ALMOST)
    return (
        f"write {spelled[nearest[0]]}, or add it to seeds/event_properties.csv" if nearest else ""
    )


def _segments(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
    begins = {row["event_type"] for row in seeds.get("funnels", ()) if row["step_order"] == "1"}
    classes = _classes(seeds)
    planned = {name for event, name in classes if event in begins}
    for row in rows:
        name = row["property"]
        if meant := _unplanned(row, planned):
            yield row.wrong("property", f"is not in the tracking plan: {meant}")
        of = {kind for (event, each), kind in classes.items() if each == name and event in begins}
        if of - {"none"} or (not of and re.search(_PERSONAL, name)):
            yield row.wrong(
                "property",
                "is personal data, which marts do not show: take another one, or write "
                "in seeds/event_properties.csv that its pii_class is none",
            )


def _funnels(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
    last = Counter(row["funnel"] for row in rows if row["step_order"])
    outcomes = {(row["funnel"], row["step_order"]): row["outcome"] for row in rows}
    first: dict[str, Row] = {}
    steps: set[tuple[str, int]] = set()
    for row in rows:
        funnel, outcome, window = row["funnel"], row["outcome"], row["window_days"]
        same = first.setdefault(funnel, row)
        order = int(row["step_order"] or 0)
        if window and not 1 <= int(window) <= _CENTURY:
            yield row.wrong("window_days", f"is none: 1 to {_CENTURY}, or empty for no limit")
        elif window != same["window_days"]:
            yield row.wrong("window_days", f"is another than in line {same.line}: write one in all")
        if not row["step_order"]:
            taken = ("", "converted", outcomes.get((funnel, str(last[funnel])), "").casefold())
            if not last[funnel]:
                yield row.wrong("funnel", "has no step: write one with step_order 1")
            if outcome.casefold() in taken:
                yield row.wrong("outcome", "is that of the last step or none: name the end's own")
        elif (funnel, order) in steps or not 1 <= order <= last[funnel]:
            yield row.wrong("step_order", "has to count from 1, each once, without gaps")
        elif outcome and order < last[funnel]:
            yield row.wrong("outcome", "is on a middle step: only the last one and ends have it")
        steps.add((funnel, order))
    yield from _filters(seeds, rows)
    yield from _ends(rows)


def _filters(seeds: Seeds, rows: Sequence[Row]) -> Iterator[str]:
    """Properties and values that no event has, by the tracking plan."""
    plan: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in seeds.get("event_properties", ()):
        plan[row["event_type"]][row["property"]] = row
    for row in rows:
        planned, value = plan[row["event_type"]], row["property_value"]
        of = planned.get(row["property"])
        if bool(row["property"]) != bool(value):
            yield row.wrong("property", "goes with a property_value: write both or none")
        elif meant := _unplanned(row, planned):
            yield row.wrong("property", f"is no property of {row['event_type']}: {meant}")
        elif of and of["pii_class"] == "direct_identifier":
            yield row.wrong("property", "identifies somebody and is in no model: take another one")
        elif of and of["data_type"] == "boolean" and value not in ("true", "false"):
            yield row.wrong("property_value", "is no truth value: write true or false")
        elif of and of["data_type"] == "numeric" and not re.fullmatch(_NUMBER, value):
            yield row.wrong("property_value", "is no number: write digits, a point before decimals")


def _ends(rows: Sequence[Row]) -> Iterator[str]:
    """Ends that one event is both of, so that it is open which; and outcomes of two spellings."""
    ends: dict[tuple[str, str], list[Row]] = defaultdict(list)
    spelled: dict[tuple[str, str], Row] = {}
    for row in rows:
        other = spelled.setdefault((row["funnel"], row["outcome"].casefold()), row)
        if other["outcome"] != row["outcome"]:
            yield row.wrong("outcome", f"is written otherwise in line {other.line}: write it alike")
        if not row["step_order"]:
            alike = ends[row["funnel"], row["event_type"]]
            for end in alike:
                by_value = row["property"] and row["property"] == end["property"]
                if not by_value or row["property_value"] == end["property_value"]:
                    yield row.wrong(
                        "event_type",
                        f"ends it in line {end.line} too: tell them apart by values of a property",
                    )
                    break
            alike.append(row)


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
        end = place("score_bands", len(rows) + 1)
        yield f"{end}: bands end at {expected - 1}: has to be {MAX_SCORE}"


def _settings(variables: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """By the settings that the project knows, each with its least value; the time zone has none."""
    known, most = variables["known_settings"], variables["largest_setting"]
    for name in sorted(known.keys() - {row["setting"] for row in rows}):
        yield f"{place('project_settings', len(rows) + 1)}: {name} is missing: add its row"
    zones = available_timezones() - _NO_ZONES
    for row in rows:
        name, value = row["setting"], row["value"]
        if name not in known:
            yield row.wrong("setting", f"is unknown: write one of {', '.join(known)}")
        elif known[name] is None:
            if value not in zones:
                meant = [*get_close_matches(value, zones, 1), "Europe/Berlin"][0]
                yield row.wrong("value", f"is no time zone: write a name such as {meant}")
        elif not re.fullmatch(INTEGER, value) or not known[name] <= int(value) <= most:
            yield row.wrong("value", f"of {name}: write a whole number, {known[name]} to {most}")
