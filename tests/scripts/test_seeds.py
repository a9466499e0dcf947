"""Definitions that are nonsense are refused before dbt starts; others mean to dbt what they say."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shutil
import sys
from pathlib import Path

import pytest
from dbt_common.clients.agate_helper import from_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import registry
from collector.registry import read_seed
from collector.settings import ROOT
from scripts.lib.base.cli import run
from scripts.lib.dbt.seeds import problems
from scripts.lib.privacy.erase import main

PROJECT = ROOT / "dbt_project"
SEEDS = sorted(path.stem for path in (PROJECT / "seeds").glob("*.csv"))
GOOD = {seed: (PROJECT / "seeds" / f"{seed}.csv").read_text() for seed in SEEDS}
FREE = {"annotation", "description"}
FUNNELS = GOOD["funnels"].splitlines()[0] + "\n"
END = "signup_to_conversion,4,converted,conversion,,,90,converted\n"
GONE = "signup_to_conversion,,gone,payment_missed,monthsLate,3,90,gone\n"
BACK = "signup_to_conversion,,back,payment_missed,,,90,back\n"
DEVICE = "device,device,Kind of device that the attempt began on\n"
SIGNED_UP = "signup_to_conversion,1,signed_up,user_signed_up,,,90,"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeds, and what is declared of them. Who changes a file puts it back."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(PROJECT / "dbt_project.yml", folder)
    shutil.copytree(PROJECT / "seeds", folder / "seeds")
    return folder


def problems_with(project: Path, seed: str, content: bytes) -> list[str]:
    """What is said where a seed has another content."""
    path = project / "seeds" / f"{seed}.csv"
    path.write_bytes(content)
    try:
        return problems(project)
    finally:
        path.write_text(GOOD[seed])


def read_by_dbt(path: Path) -> list[dict[str, str]]:
    columns = path.read_text(encoding="utf-8-sig").splitlines()[0].replace('"', "").split(",")
    table = from_csv(path, text_columns=columns)
    return [{name: row[name] or "" for name in columns} for row in table.rows]


def read_here(path: Path) -> list[dict[str, str]]:
    _, rows = read_seed(path)
    nulls = ("", "null")
    return [{k: "" if v.strip().lower() in nulls else v for k, v in row.items()} for _, row in rows]


def test_shipped_definitions_are_sound(project: Path) -> None:
    assert problems(project) == []


@pytest.mark.parametrize(
    ("seed", "old", "new", "line", "said"),
    [
        ("funnels", SIGNED_UP, SIGNED_UP.replace("90", "-7"), 11, "window_days '-7'"),
        ("funnels", ",90,", ",0,", 11, "window_days '0'"),
        ("funnels", SIGNED_UP, SIGNED_UP.replace("90", "1.5"), 11, "window_days '1.5'"),
        ("funnels", SIGNED_UP, SIGNED_UP.replace("90", "30"), 12, "another than in line 11"),
        ("funnels", "path,/pricing", "path,", 12, "property 'path'"),
        ("funnels", "path,/pricing", "path,null", 12, "property 'path'"),
        ("funnels", "path,/pricing", ",/pricing", 12, "property ''"),
        ("funnels", ",,,,declined", ",,,,converted", 9, "outcome 'converted'"),
        ("funnels", ",,,,declined", ",,,,approved", 9, "outcome 'approved'"),
        ("funnels", ",,,,declined", ",,,,open", 9, "outcome 'open'"),
        ("funnels", ",,,,declined", ",,,,", 9, "outcome ''"),
        ("funnels", "90,converted", "90,expired", 14, "outcome 'expired'"),
        ("funnels", SIGNED_UP, SIGNED_UP + "won", 11, "outcome 'won' is on a middle step"),
        ("funnels", "page_viewed", "page_veiwed", 12, "'page_veiwed' is unknown: write page_v"),
        ("funnels", "conversion,3", "conversion,5", 13, "step_order '5'"),
        ("funnels", "conversion,3", "conversion,2", 13, "step_order '2'"),
        ("funnels", "conversion,1,", "conversion,0,", 11, "step_order '0'"),
        ("funnels", "3,applied", "3,signed_up", 13, "step 'signed_up' is in line 11 too"),
        ("funnels", END, END + "lost,,gone,conversion,,,,gone\n", 15, "funnel 'lost' has no step"),
        ("funnels", SIGNED_UP, SIGNED_UP[:-1], 11, "7 values for 8 columns"),
        ("funnels", SIGNED_UP, SIGNED_UP + ",", 11, "9 values for 8 columns"),
        ("funnels", SIGNED_UP, "\n" + SIGNED_UP, 11, "empty"),
        ("funnels", END, END + ",,,,,,,\n", 15, "empty"),
        ("funnels", SIGNED_UP, '"' + SIGNED_UP, 11, "close each quote"),
        ("funnels", "signed_up,user", "signed_up ,user", 11, "step 'signed_up '"),
        ("funnels", "outcome\n", "outcome,\n", 1, "name each column once"),
        ("funnels", "window_days", "window", 1, "'window'"),
        ("segments", "device,device", "all,device", 2, "segment 'all'"),
        ("segments", "device,device", "band,device", 2, "segment 'band'"),
        ("segments", "device,device", "source,device", 2, "segment 'source'"),
        ("segments", "device,device", "device,", 2, "property ''"),
        ("score_bands", "579", "580", 3, "min_score '580'"),
        ("score_bands", "579", "578", 3, "min_score '580'"),
        ("score_bands", "300", "301", 2, "min_score '301'"),
        ("score_bands", "850", "849", 6, "bands end at 849"),
        ("score_bands", "poor,1", "poor,9", 3, "band_order '2'"),
        ("score_bands", "poor,", "unknown,", 2, "band 'unknown'"),
        ("score_bands", "false", "falsch", 2, "is_good 'falsch'"),
        ("event_types", "user,true", "user,wahr", 2, "is_interaction 'wahr'"),
        ("event_types", "screen_viewed,", "page_viewed,", 4, "is in line 3 too"),
        ("event_properties", "path,text", "path,string", 2, "data_type 'string'"),
        ("event_properties", "path,text", "path,", 2, "data_type ''"),
        ("event_properties", "true,none", "true,secret", 2, "pii_class 'secret'"),
        ("event_properties", "referrer,", "path,", 3, "property 'path' is in line 2 too"),
        ("project_settings", "UTC", "Europe/Berlln", 2, "Europe/Berlin"),
        ("project_settings", "minutes,30", "minutes,0", 3, "session_gap_minutes"),
        ("project_settings", "minutes,30", "minutes,half", 3, "session_gap_minutes"),
        ("project_settings", "session_gap_", "session_gab_", 3, "setting 'session_gab_minutes'"),
        ("project_settings", GOOD["project_settings"].splitlines()[-1] + "\n", "", 9, "clock_tol"),
        ("sources", "default,false", "default,", 2, "is_test ''"),
        ("unwanted_referrals", "paypal.com", "https://paypal.com/", 4, "host 'https://"),
        ("unwanted_referrals", "own", "mine", 2, "reason 'mine'"),
        ("traffic_sources", "google.de", "www.google.de", 4, "name 'www.google.de'"),
        ("illegal_ids", "undefined", "Undefined", 2, "id 'Undefined'"),
        ("goals", ",,30,,", ",,0,,", 2, "at_least '0' of conversion_rate is passed never"),
        ("goals", ",,30,,", ",,101,,", 2, "at_least '101'"),
        ("goals", ",,30,,", ",,,100,", 2, "at_most '100'"),
        ("goals", ",,30,,", ",,30,40,", 2, "at_least '30' and at_most"),
        ("goals", ",,30,,", ",,,,", 2, "at_least '' and at_most"),
        ("goals", ",,30,,", ",7,30,,", 2, "days '7' means nothing to conversion_rate"),
        ("goals", ",,30,,", ",,30,,2026-02-30", 2, "valid_from '2026-02-30' is no day"),
        ("goals", ",,30,,", ",,30,,1.3.2026", 2, "valid_from '1.3.2026' is no day"),
        ("goals", "loan_application", "loan", 2, "subject 'loan' has no conversion_rate"),
        ("goals", "conversion_rate", "attempts", 2, "days '' is missing"),
        ("goals", "on_time_rate,,", "on_time_rate,fair,", 3, "subject 'fair' is shown nowhere"),
        ("goals", "conversion_rate", "revenue", 2, "metric 'revenue' is unknown"),
        ("goals", "on_time_rate,,", "conversion_rate,loan_application,", 3, "is in line 2 too"),
        ("annotations", "2026-09-14", "14.9.2026", 2, "day '14.9.2026' is no day"),
        ("annotations", "2026-09-14", "", 2, "day ''"),
        ("annotations", "loan_application", "loan", 2, "subject 'loan' is no funnel"),
        ("annotations", "https://", "javascript:", 2, "link 'javascript:"),
        ("alerts", "events,,1,1,", "events,,1,0,", 2, "below '0' of events is passed never"),
        ("alerts", "events,,1,1,", "events,,1,-1,", 2, "below '-1'"),
        ("alerts", "events,,1,1,", "events,,1,NaN,", 2, "below 'NaN'"),
        ("alerts", "events,,1,1,,", "events,,1,,-1,", 2, "above '-1'"),
        ("alerts", "events,,1,1,,", "events,,1,5,4,", 2, "below '5' is more than above"),
        ("alerts", "events,,1,1,", "events,,1,,", 2, "below '' is no limit"),
        ("alerts", "events,,1,1,", "events,,0,1,", 2, "days '0'"),
        ("alerts", "events,,1,1,", "events,web,1,1,", 2, "subject 'web' has no events: write none"),
        ("alerts", "50,,Half as many ev", "101,,Half as many ev", 3, "falls_percent '101'"),
        ("alerts", "50,,Half as many ev", "0,,Half as many ev", 3, "falls_percent '0'"),
        ("alerts", "100,Twice", "0,Twice", 4, "rises_percent '0'"),
        ("alerts", "7,80,,", "7,0,,", 6, "below '0' of on_time_rate"),
        ("alerts", "7,80,,", "7,101,,", 6, "below '101' of on_time_rate"),
        ("alerts", "7,80,,", "7,0.8,,", 6, "below '0.8'"),
        ("alerts", "7,80,,", "7,,100,", 6, "above '100' of on_time_rate"),
        ("alerts", "on_time_rate,,", "on_time_rate,best,", 6, "write one of exceptional, fair"),
        ("alerts", "on_time_rate,,", "conversion_rate,loan,", 6, "subject 'loan' has no conv"),
        ("funnels", "/pricing", "/pri\u200bcing", 12, "'/pri\\u200bcing' has"),
        ("funnels", "90,converted", '90,converted"', 14, "quote that is not closed"),
        ("funnels", "lo\u0061n_a", "lo\u0430n_a", 2, "others that look so (Cyrillic)"),
        ("event_types", "page_v", "\uff50age_v", 3, "others that look so (Fullwidth)"),
        ("event_types", "page_v", "pa\u0308ge_v", 3, "NFC"),
        ("event_types", "page_viewed", "x" * 129, 3, "has 129 characters"),
        ("segments", "device,device", "mail,email", 2, "property 'email' is personal data"),
        ("segments", DEVICE, DEVICE + "Device,device,again\n", 3, "is in line 2 too"),
        ("segments", "device,device", "All,device", 2, "segment 'All'"),
        ("segments", "device,device", "kind,Devise", 2, "property 'Devise' is not in the tracking"),
        ("funnels", ",,,,declined", ",,,,Open", 9, "outcome 'Open'"),
        ("funnels", ",,,,declined", ",,,,Approved", 9, "outcome 'Approved'"),
        ("funnels", ",,,,declined", ",,,,Cancelled", 10, "is written otherwise in line 9"),
        ("funnels", END, END + GONE + BACK, 16, "event_type 'payment_missed' ends it in line 15"),
        ("funnels", END, END + GONE + BACK.replace(",,,90", ",amountDue,3,90"), 16, "line 15 too"),
        ("funnels", "path,/pricing", "Path,/pricing", 12, "property 'Path' is no property of page"),
        ("funnels", "path,/pricing", "pathh,/pricing", 12, "write path, or add it to seeds/event"),
        ("funnels", "submitted,,,90", "submitted,amountRequested,1k,90", 13, "'1k' is no number"),
        ("annotations", "loan_application", "loan", 2, "write one of loan_application, signup_to_"),
        ("project_settings", "UTC", "europe/berlin", 2, "Europe/Berlin"),
        ("project_settings", "UTC", "localtime", 2, "value 'localtime' is no time zone"),
        ("unwanted_referrals", "paypal.com", "*.paypal.com", 4, "host '*.paypal.com'"),
        ("unwanted_referrals", "paypal.com", "pay pal.com", 4, "host 'pay pal.com'"),
    ],
)  # fmt: skip
def test_nonsense_is_named_with_its_line(  # noqa: PLR0917
    project: Path, seed: str, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD[seed]
    found = problems_with(project, seed, GOOD[seed].replace(old, new, 1).encode())
    places = [
        each for each in found if each.startswith(f"dbt_project/seeds/{seed}.csv line {line}:")
    ]
    assert any(said in each for each in places), found
    assert not any("\n" in each for each in found)


def test_personal_data_by_the_plan_is_what_nothing_is_cut_or_filtered_by(
    project: Path, tmp_path: Path
) -> None:
    seeds = shutil.copytree(project, tmp_path / "copy") / "seeds"
    plan = seeds / "event_properties.csv"
    plan.write_text(
        GOOD["event_properties"]
        + "application_submitted,salary,numeric,false,financial,What somebody earns\n"
        + "application_submitted,email,text,false,none,Whether by email\n"
        + "page_viewed,login,text,false,direct_identifier,Who it is\n"
    )
    for name, refused in (("salary", True), ("email", False), ("login", False)):
        (seeds / "segments.csv").write_text(f"segment,property,description\ncut,{name},by it\n")
        found = problems(seeds.parent)
        assert [name in each and "personal data" in each for each in found] == [True] * refused
    (seeds / "funnels.csv").write_text(GOOD["funnels"].replace("path,/pricing", "login,ann"))
    [said] = problems(seeds.parent)
    assert "funnels.csv line 12: property 'login' identifies somebody" in said


def test_values_are_those_that_the_plan_lets_be(project: Path, tmp_path: Path) -> None:
    """Excel writes TRUE; and ends that no event is both of are two."""
    seeds = shutil.copytree(project, tmp_path / "copy") / "seeds"
    plan = GOOD["event_properties"] + "page_viewed,isNew,boolean,false,none,Whether it is new\n"
    (seeds / "event_properties.csv").write_text(plan)
    for value, taken in (("TRUE", False), ("true", True), ("1", False)):
        (seeds / "funnels.csv").write_text(
            GOOD["funnels"].replace("path,/pricing", f"isNew,{value}")
        )
        assert [f"'{value}' is no truth value" in each for each in problems(seeds.parent)] == (
            [] if taken else [True]
        )
    both = GONE + GONE.replace("gone", "back").replace(",3,", ",4,")
    assert problems_with(project, "funnels", (GOOD["funnels"] + both).encode()) == []


def test_what_is_in_an_unreadable_file_is_missed_nowhere_else(project: Path) -> None:
    for seed in SEEDS:
        [said] = problems_with(project, seed, b"\xff")
        assert f"{seed}.csv line 1: byte 0xff" in said
    assert "event_type 'page_viewed' is unknown" in str(
        problems_with(project, "event_types", GOOD["event_types"].splitlines()[0].encode() + b"\n")
    )


def test_what_is_said_of_long_files_is_a_page(project: Path) -> None:
    many = "".join(f"funnel{i},1,seen,page_viewed,,,,\n" for i in range(10_000))
    assert problems_with(project, "funnels", (GOOD["funnels"] + many).encode()) == []
    said = problems_with(project, "funnels", (FUNNELS + many).encode())
    assert said  # the goals and annotations of the others
    assert max(map(len, said)) < 300
    broken = many.replace("page_viewed", "page_veiwed")
    found = problems_with(project, "funnels", (GOOD["funnels"] + broken).encode())
    assert len(found) == 101
    assert "page_viewed" in found[0]
    assert found[-1].startswith("dbt_project/seeds/funnels.csv has more")


@pytest.mark.parametrize("seed", SEEDS)
def test_file_that_cannot_be_read_is_all_that_is_said(
    project: Path, tmp_path: Path, seed: str
) -> None:
    """Nothing of the files that name what it has."""
    [said] = problems_with(project, seed, f"{GOOD[seed]}one,value,too,many{',' * 20}\n".encode())
    assert said.startswith(f"dbt_project/seeds/{seed}.csv line ")
    copy = shutil.copytree(project, tmp_path / "copy")
    (copy / "seeds" / f"{seed}.csv").unlink()
    [said] = problems(copy)
    assert said.startswith(f"dbt_project/seeds/{seed}.csv is missing")


@pytest.mark.parametrize("seed", SEEDS)
def test_no_column_takes_what_is_not_seen(project: Path, seed: str) -> None:
    header, first = list(csv.reader(io.StringIO(GOOD[seed])))[:2]
    unseen = ["x ", "\u200bx", "x\xa0", "\0"]
    columns = {name: at for at, name in enumerate(header) if name not in FREE}
    changed = [[*first[:at], each, *first[at + 1 :]] for at in columns.values() for each in unseen]
    text = io.StringIO()
    csv.writer(text).writerows([header, *changed])
    found = "\n".join(problems_with(project, seed, text.getvalue().encode()))
    for line, (name, each) in enumerate(itertools.product(columns, unseen), 2):
        assert f"line {line}: {name} {each!r} has " in found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
    delimiter=st.sampled_from([",", ",", ";", "\t"]),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    tail=st.sampled_from(["", "", "\n", "\r\n\r\n", ",,\r\n"]),
    extra=st.sampled_from([0, 0, 1]),
    umlaut=st.booleans(),
)
def test_forms_of_spreadsheets_keep_the_meaning_or_are_named(  # noqa: PLR0917
    project: Path, seed: str, encoding: str, delimiter: str, ending: str, quoting: int,
    tail: str, extra: int, umlaut: bool,
) -> None:  # fmt: skip
    rows = list(csv.reader(io.StringIO(GOOD[seed])))
    if umlaut and "description" in rows[0]:
        rows[1][rows[0].index("description")] = "für Österreich"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([[*row, *[""] * extra] for row in rows])
    content = (text.getvalue() + tail).encode(encoding)
    found = problems_with(project, seed, content)
    if found:
        assert any(re.match(rf"dbt_project/seeds/{seed}\.csv line \d+: ", each) for each in found)
        assert encoding in ("cp1252", "utf-16") or delimiter != "," or tail or extra, found
        return
    path = project / "form.csv"
    path.write_bytes(content)
    meant = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    meant = [{k: "" if v == "null" else v for k, v in row.items()} for row in meant]
    assert read_here(path) == read_by_dbt(path) == meant


@settings(max_examples=150, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    place=st.floats(0, 1),
    cut=st.integers(0, 3),
    put=st.text(',;"\n\r\0 \xa0-0', max_size=3),
)
def test_what_is_taken_is_what_dbt_reads(
    project: Path, seed: str, place: float, cut: int, put: str
) -> None:
    text = GOOD[seed]
    at = int(place * len(text))
    content = (text[:at] + put + text[at + cut :]).encode()
    if not problems_with(project, seed, content):
        path = project / "form.csv"
        path.write_bytes(content)
        assert read_here(path) == read_by_dbt(path)


def test_commands_that_read_a_seed_end_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "dbt_project/seeds/illegal_ids.csv"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"id,description\nnull\n")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["erase", "--user", "17"])
    with pytest.raises(
        SystemExit, match=r"^error: dbt_project/seeds/illegal_ids\.csv line 2: 1 val"
    ):
        run(main)
