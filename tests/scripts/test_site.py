"""The insights site in a real browser: its numbers, its filters, its manners."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, expect

from scripts.lib.base.browser import chromium
from tests.support.browsing import (
    HOSTILE,
    attempts,
    choose,
    lefts,
    middle,
    opened,
    reached,
    send_stream,
    sort,
    table,
)
from tests.support.warehouse import Warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium"),
]
NOTHING = "\N{EN DASH}"
FUNNEL = "loan_application"
# Names in Hebrew, with a mark at the end that a text from left to right would put at their right.
HEBREW, STEP, DEVICE = "בקשה!", "הוגשה!", "נייד!"
# The funnel has no window: attempts count once nine in ten of those that convert would have.
FINISHED = """
    with attempts as (select * from marts.fct_funnel_progress where funnel = %s),
    finished as (
        select * from attempts where (cohort_on + 1)::timestamptz + interval '1 second' * (
            select percentile_cont(0.9) within group (order by seconds_to_convert) from attempts
        ) <= (select max(occurred_at) from marts.fct_events)
    )
"""


@pytest.fixture(scope="module")
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Marts of a generated stream, with one task whose type is an attack on the page, a funnel and
    a segment in Hebrew, and goals.
    """
    with create_warehouse() as warehouse:
        send_stream(warehouse.database_url)
        submitted = {"event_type": "application_submitted", "step": STEP, "step_order": "1"}
        approved = {"event_type": "application_approved", "step": "approved", "step_order": "2"}
        steps = [{"funnel": HEBREW} | step for step in (submitted, approved)]
        warehouse.set_seed("funnels", [*warehouse.seed("funnels"), *steps])
        weekly = {"metric": "attempts", "subject": FUNNEL, "days": "7", "at_least": "70"}
        most = {"metric": "backlog", "at_most": "1"}
        goals = [*warehouse.seed("goals"), weekly | {"valid_from": "2026-09-01"}, most]
        warehouse.set_seed("goals", goals)
        warehouse.land(
            {"eventType": "application_submitted", "eventId": "hebrew", "userId": "hebrew"}
            | {"occurredAt": "2026-09-20T10:00:00Z", "activity": {"device": DEVICE}}
        )
        warehouse.run(reports=True)
        yield warehouse


def test_conversion_is_that_of_the_marts(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    steps = attempts(warehouse, FUNNEL, "all", "all")
    [(over,)] = warehouse.query(
        f"{FINISHED} select to_char(100 * avg(is_converted::integer), 'FM990.0 %%') from finished",  # noqa: S608
        FUNNEL,
    )
    sources = warehouse.query(
        "select traffic_source, sum(last_non_direct_credit)::text from marts.attribution"
        " where funnel = %s group by 1",
        FUNNEL,
    )
    with opened(browser, folder / "conversion.html") as page:
        assert reached(page) == steps
        expect(page.locator("#entered")).to_have_text(f"{steps[0]:,}")
        expect(page.locator("#rate")).to_have_text(over)
        shown = {row[0]: row[1] for row in table(page, "attribution")}
        assert shown == dict(sources)
        cohorts = [int(row[1].replace(",", "")) for row in table(page, "cohorts")]
        assert sum(cohorts) == steps[0]


def test_filters_change_the_numbers(browser: Browser, folder: Path, warehouse: Warehouse) -> None:
    days = ("2026-09-01", "2026-09-30")
    cut = attempts(warehouse, FUNNEL, "device", "mobile", *days)
    other = attempts(warehouse, "signup_to_conversion", "device", "mobile", *days)
    with opened(browser, folder / "conversion.html") as page:
        choose(page, "from", days[0])
        choose(page, "to", days[1])
        choose(page, "segment", "mobile")
        assert reached(page) == cut
        address = page.url
        page.locator("[name=funnel]").focus()
        page.keyboard.press("ArrowDown")
        page.evaluate("queue")
        assert reached(page) == other
        page.get_by_role("button", name="Reset").press("Enter")
        expect(page.locator("#shown")).to_contain_text("2 Oct 2026 to 31 Oct 2026")
        assert "mobile" not in page.locator("#shown").inner_text()
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        assert reached(page) == cut


def test_choice_without_data_says_so(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "conversion.html") as page:
        choose(page, "to", "2026-08-03")
        choose(page, "segment", "exceptional")
        assert "Nothing in this choice." in page.locator("#funnel .plot").inner_text()
        assert page.locator("#rate").inner_text() == NOTHING


def test_tasks_are_those_of_the_marts(browser: Browser, folder: Path, warehouse: Warehouse) -> None:
    [(opened_count, done, half)] = warehouse.query(
        "select count(*), count(completed_at),"
        " percentile_cont(0.5) within group (order by cycle_seconds) from marts.fct_tasks"
    )
    [(backlog,)] = warehouse.query(
        "select sum(backlog)::integer from marts.task_completion_daily"
        " where day = (select max(day) from marts.task_completion_daily)"
    )
    with opened(browser, folder / "tasks.html") as page:
        expect(page.locator("#opened")).to_have_text(f"{opened_count:,}")
        expect(page.locator("#completed")).to_have_text(f"{100 * done / opened_count:.1f} %")
        expect(page.locator("#open")).to_have_text(f"{backlog:,}")
        median = page.evaluate("percentile(addTimes(dataset('task_times_daily')), 0.5)")
        assert median == pytest.approx(half)
        choose(page, "type", HOSTILE)
        expect(page.locator("#opened")).to_have_text("1")
        assert table(page, "cycles")[0][0] == HOSTILE
        assert page.title() == "Tasks · Headwater"


def test_credit_is_that_of_the_marts(browser: Browser, folder: Path, warehouse: Warehouse) -> None:
    bands = warehouse.query(
        "select replace(band, '_', ' '), sum(payments_made + payments_missed)::text"
        " from marts.credit_band_daily where band <> 'unknown' group by band"
        " having sum(payments_made + payments_missed) > 0"
    )
    moves = warehouse.query(
        "select replace(previous_band, '_', ' '), replace(band, '_', ' '), count(*)::text"
        " from marts.fct_credit_scores where previous_band <> band group by 1, 2"
    )
    with opened(browser, folder / "credit.html") as page:
        assert {row[0]: row[1] for row in table(page, "payments")} == dict(bands)
        assert sorted(map(tuple, table(page, "movement"))) == sorted(moves)
        [(users,)] = warehouse.query("select count(distinct user_id) from marts.fct_credit_scores")
        expect(page.locator("#scored")).to_have_text(f"{users:,}")


def test_csv_has_what_the_table_has(
    browser: Browser, folder: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    counts = attempts(warehouse, FUNNEL, "all", "all")
    with opened(browser, folder / "conversion.html") as page:
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV of Funnel").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    file = tmp_path / "funnel_Loan-application_2026-08-03_2026-10-31.csv"
    assert file.read_bytes().startswith(codecs.BOM_UTF8)
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["reached"]) for row in rows] == counts
    assert rows[0]["step"] == "Submitted"
    days = {"first_day": "2026-08-03", "last_day": "2026-10-31", "funnel": "Loan application"}
    assert all(days.items() <= row.items() for row in rows)


def test_segments_and_outcomes_are_those_of_the_marts(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    segments = warehouse.query(
        f"{FINISHED} select segment, replace(value, '_', ' '), count(*)::text"  # noqa: S608
        " from finished, jsonb_each_text(segments) as cuts (segment, value)"
        " where segment <> 'all' group by 1, 2",
        FUNNEL,
    )
    outcomes = warehouse.query(
        "select initcap(outcome), count(*)::text from marts.fct_funnel_progress"
        " where funnel = %s group by 1",
        FUNNEL,
    )
    [(converted,)] = warehouse.query(
        "select count(*)::integer from marts.fct_funnel_progress"
        " where funnel = %s and is_converted",
        FUNNEL,
    )
    with opened(browser, folder / "conversion.html") as page:
        assert sorted(tuple(row[:3]) for row in table(page, "segments")) == sorted(segments)
        assert sorted(tuple(row[:2]) for row in table(page, "outcomes")) == sorted(outcomes)
        times = [int(row[2].replace(",", "")) for row in table(page, "times")]
        assert sum(times) == converted


def test_percentiles_of_any_days_are_those_of_the_facts(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    shares = [0.0, 0.1, 0.5, 0.9, 1.0]
    with opened(browser, folder / "tasks.html") as page:
        [first, days] = page.evaluate("[embedded.first, LAST_DAY]")
        for start in range(0, days, 9):
            shown = page.evaluate(
                "([from, to, shares]) => shares.map(share =>"
                " percentile(addTimes(chosen(times, { from, to })), share))",
                [start, start + 12, shares],
            )
            [(known,)] = warehouse.query(
                "select percentile_cont(%s::float[]) within group (order by cycle_seconds)"
                " from marts.fct_tasks where opened_on - %s::date between %s and %s",
                shares, first, start, start + 12,
            )  # fmt: skip
            assert shown == (pytest.approx(known) if known else [None] * len(shares))


def test_traffic_is_that_of_the_marts(browser: Browser, folder: Path, warehouse: Warehouse) -> None:
    visits = "select count(*), avg(is_bounce::integer) from marts.fct_sessions where is_visit"
    [(count, bounced)] = warehouse.query(visits)
    [(direct,)] = warehouse.query(
        "select count(*) from marts.fct_sessions where is_visit and traffic_source = 'direct'"
    )
    pages = warehouse.query(
        "select activity ->> 'path', to_char(count(*), 'FM999,999') from marts.fct_events"
        " where event_type = 'page_viewed' group by 1"
    )
    with opened(browser, folder / "traffic.html") as page:
        expect(page.locator("#visits")).to_have_text(f"{count:,}")
        expect(page.locator("#bounce")).to_have_text(f"{100 * bounced:.1f} %")
        assert sorted(tuple(row[:2]) for row in table(page, "pages")) == sorted(pages)
        ways = table(page, "paths")
        begun = sum(int(row[3].replace(",", "")) for row in ways if row[0] == "1")
        assert begun <= count
        # Each page that a visit can be on at a step is a bar, each way between two a band.
        steps = {(row[0], row[1]) for row in ways}
        bands = [row for row in ways if row[2] != "(end)" and row[0] != "4"]
        assert page.locator("#paths .plot svg .mark-rect.role-mark path").count() == len(steps)
        assert page.locator("#paths .plot svg .mark-path path").count() == len(bands)
        choose(page, "origin", "direct")
        expect(page.locator("#visits")).to_have_text(f"{direct:,}")
        assert {row[1] for row in table(page, "through")} == {"direct"}


def test_retention_is_that_of_the_marts(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    weeks = warehouse.query(
        "select weeks_since::text, cohort_users::text, users_active::text"
        " from marts.retention_weekly where is_complete"
    )
    with opened(browser, folder / "retention.html") as page:
        assert sorted(tuple(row[1:4]) for row in table(page, "cohorts")) == sorted(weeks)
        compared = {row[0] for row in table(page, "segments")}
        page.locator("[name=compare]").focus()
        page.keyboard.press("ArrowDown")
        page.evaluate("queue")
        assert compared.isdisjoint({row[0] for row in table(page, "segments")})
        page.locator("[name=cohort]").select_option(label="Traffic source: direct")
        page.evaluate("queue")
        some = sum(int(row[2]) for row in table(page, "cohorts") if row[1] == "0")
        assert 0 < some < sum(int(users) for week, users, _ in weeks if week == "0")
        # Three years: as many rows and columns as a page has room for.
        rows, columns = page.evaluate(
            "rows => [grouped(rows).groups.length, weeks(rows).length]",
            [{"day": 7 * n, "users_active": [9] * min(156 - n, 105)} for n in range(156)],
        )
        assert rows <= 27
        assert columns <= 27


def test_lists_lead_to_what_a_user_did(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    overdue = warehouse.query("select count(*)::integer from reports.rpt_tasks_overdue")
    with opened(browser, folder / "tasks.html") as page:
        assert [(len(table(page, "overdue")),)] == overdue
    with opened(browser, folder / "credit.html") as page:
        key = table(page, "profiles")[0][0]
        page.get_by_role("link", name=key).press("Enter")
        page.wait_for_url("**/users.html*")
        page.wait_for_selector("body[data-ready]")
        [(user, events)] = warehouse.query(
            "select user_id, event_count::text from reports.rpt_users where user_key = %s", key
        )
        expect(page.locator("#events")).to_have_text(events)
        story = table(page, "story")
        told = "select count(*)::integer from reports.rpt_user_stories where user_key = %s"
        assert [(len(story),)] == warehouse.query(told, key)
        assert [row[:2] for row in story] != []
        # Another one, by an id typed in; neither is on the page.
        [(other, other_key)] = warehouse.query(
            "select user_id, user_key from reports.rpt_users"
            " where is_notable and user_id <> %s order by 1 limit 1",
            user,
        )
        assert not {user, other} & set(re.findall(r"\w+", page.content()))
        page.get_by_label("User's id, or key").fill(other)
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_have_text(f"Key {other_key}.")
        expect(page.locator("#shown")).to_contain_text(other_key)
        page.get_by_label("User's id, or key").fill("nobody")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_contain_text("no story of this user is here")


def test_filters_go_along_and_pictures_stand_alone(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "conversion.html", "period=7d&type=other") as page:
        expect(page.locator("#shown")).to_contain_text("25 Oct 2026 to 31 Oct 2026")
        expect(page.locator("#entered-change")).to_contain_text("vs 7 days before")
        page.evaluate("location.hash = '#period=last-month&funnel=gone'")
        expect(page.locator("#shown")).to_contain_text("1 Sep 2026 to 30 Sep 2026")
        expect(page.locator("#shown")).to_contain_text("is not here, so it is left out")
        page.evaluate("queue")
        for kind, start in {"svg": b"<svg ", "png": b"\x89PNG"}.items():
            with page.expect_download() as download:
                page.locator(f"#cohorts .{kind}").click()
            picture = download.value.path().read_bytes()
            assert picture.startswith(start)
            assert b"var(--" not in picture
        page.get_by_role("link", name="Tasks").click()
        page.wait_for_selector("body[data-ready]")
        expect(page.locator("#shown")).to_contain_text("1 Sep 2026 to 30 Sep 2026")


def test_goals_are_drawn_and_said_how_far_they_are_reached(
    browser: Browser, folder: Path, warehouse: Warehouse
) -> None:
    days = ("2026-09-01", "2026-09-30")
    [entered, *_] = attempts(warehouse, FUNNEL, "all", "all", *days)
    with opened(browser, folder / "conversion.html", f"funnel={FUNNEL}") as page:
        choose(page, "from", days[0])
        choose(page, "to", days[1])
        # Ten a day, so that these thirty days want 300; before September there was no goal.
        far = f"{100 * entered / 300:.0f}\N{NO-BREAK SPACE}% of the goal of 300"
        expect(page.locator("#entered-goal")).to_have_text(far)
        rate = float(page.locator("#rate").inner_text().removesuffix(" %"))
        way = "above" if rate > 30 else "below"
        expect(page.locator("#rate-goal")).to_contain_text(f"points {way} the goal of 30")
        # Its line is at 30 %, by the labels of the axis.
        ticks = page.locator("#cohorts .plot .role-axis-label text", has_text="%").all()
        (low, bottom), (high, top) = (
            (float(tick.evaluate("text => parseFloat(text.textContent)")), middle(tick)[1])
            for tick in (ticks[0], ticks[-1])
        )
        label = bottom + (top - bottom) * (30 - low) / (high - low)
        [_, line] = middle(page.locator("#cohorts .plot line[stroke-dasharray='6,4']"))
        assert line == pytest.approx(label, abs=1.5)
        choose(page, "segment", "mobile")
        expect(page.locator("#rate-goal")).to_have_text("")
        assert page.locator("#cohorts .plot svg text", has_text="goal").count() == 0
        choose(page, "from", "2026-08-31")
        expect(page.locator("#entered-goal")).to_have_text("")
    with opened(browser, folder / "tasks.html") as page:
        backlog = int(page.locator("#open").inner_text())
        over = f"{100 * backlog}\N{NO-BREAK SPACE}% of the goal of at most 1"
        expect(page.locator("#open-goal")).to_have_text(over)
        assert page.locator("#backlog .plot svg text", has_text="goal").count() == 1


def test_annotations_are_listed_and_drawn_at_their_day(browser: Browser, folder: Path) -> None:
    noted = [
        "14 Sep 2026: Income is verified before the offer",
        "12 Oct 2026: Newsletter to all users",
    ]
    with opened(browser, folder / "conversion.html", f"period=all&funnel={FUNNEL}") as page:
        notes = page.get_by_role("list", name="What happened in these days")
        expect(notes.get_by_role("listitem")).to_have_text(noted)
        expect(notes.get_by_role("link")).to_have_attribute(
            "href", "https://example.com/releases/42"
        )
        choose(page, "from", "2026-09-01")
        choose(page, "to", "2026-09-30")
        expect(notes.get_by_role("listitem")).to_have_text(noted[:1])
        [rule, _] = middle(page.locator("#cohorts .plot line[stroke-dasharray='2,3']"))
        # Between the first and the last point as the 14th is between their days.
        days = [int(row[0].split()[0]) for row in table(page, "cohorts")]
        points = page.locator("#cohorts .plot .mark-symbol").first.locator("path")
        [first, _], [last, _] = middle(points.first), middle(points.last)
        place = first + (last - first) * (14 - days[0]) / (days[-1] - days[0])
        assert rule == pytest.approx(place, abs=1)
        page.locator("#cohorts .plot svg .mark-text text", has_text=re.compile("^1$")).hover()
        expect(page.locator("#vg-tooltip-element")).to_contain_text("Income is verified")
        page.locator("[name=funnel]").select_option("signup_to_conversion")
        expect(notes).to_be_hidden()
    for file in ("index", "traffic", "tasks", "credit", "users", "health"):
        with opened(browser, folder / f"{file}.html") as page:
            expect(notes_of := page.locator("#annotations li").last).to_have_text(noted[1])
            assert notes_of.is_visible()


def test_tables_are_sorted_by_the_keyboard(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "tasks.html") as page:
        names = [row[4] for row in table(page, "overdue")]
        assert sort(page, "overdue", "Assignee") == sorted(names)
        heads = page.locator("#overdue th[aria-sort]")
        expect(heads).to_have_text(["Assignee"])
        expect(heads).to_have_attribute("aria-sort", "ascending")
        assert sort(page, "overdue", "Assignee") == sorted(names, reverse=True)
        expect(heads).to_have_attribute("aria-sort", "descending")
        opened_on = sort(page, "overdue", "Opened")
        days = page.evaluate("days => days.map(day => Date.parse(day))", opened_on)
        assert days == sorted(days)
        # Drawn again it stays sorted.
        rows = table(page, "overdue")
        kind = rows[-1][2]
        choose(page, "type", kind)
        expect(heads).to_have_text(["Opened"])
        expect(heads).to_have_attribute("aria-sort", "ascending")
        chosen = [row for row in rows if row[2] == kind]
        page.wait_for_function("() => document.querySelector('#overdue tbody').rows.length")
        assert [row[1] for row in table(page, "overdue")] == [row[1] for row in chosen]


def test_names_that_run_from_right_to_left_are_isolated(browser: Browser, folder: Path) -> None:
    """The mark at their end stays there, which is left; what is before them stays before them."""
    address = urlencode({"period": "all", "funnel": HEBREW, "segment": f'["device","{DEVICE}"]'})
    with opened(browser, folder / "conversion.html", address) as page:
        for place, name in (
            ("#shown", HEBREW),
            ("#shown", DEVICE),
            ("#filters summary", DEVICE),
            ("#funnel .plot svg", STEP),
            ("#segments .plot svg", DEVICE),
        ):
            before, first, last = lefts(page.locator(place).first, name)
            assert before <= last < first, place
    with opened(browser, folder / "index.html") as page:
        _, first, last = lefts(page.locator("#funnels tbody"), HEBREW)
        assert last < first


def bisected(share: float, whole: int, end: float) -> float:
    """The end of an interval: the probability from which a share is just so many deviations off."""
    deviations = NormalDist().inv_cdf(0.975)
    near, far = share, end
    for _ in range(80):
        middle = (near + far) / 2
        is_within = abs(middle - share) <= deviations * sqrt(middle * (1 - middle) / whole)
        near, far = (middle, far) if is_within else (near, middle)
    return near


def test_intervals_are_those_of_the_score_test(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "conversion.html") as page:

        @settings(max_examples=150, deadline=None)
        @given(st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
        def compare(counts: tuple[int, int]) -> None:
            part, whole = counts
            shown = page.evaluate("counts => interval(...counts)", counts)
            expected = [bisected(part / whole, whole, end) for end in (0, 1)]
            assert shown == pytest.approx(expected, abs=1e-6)

        compare()
