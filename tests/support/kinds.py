"""What generated users do, what of it is odd, and the funnels that it goes through."""

from __future__ import annotations

from typing import Any

from tests.support.histories import funnel

Activity = dict[str, Any]
Kind = tuple[str, Activity]

FUNNELS = [
    *funnel("one_step", "conversion"),
    *funnel("one_step_named", "conversion => sold", "offer_declined -> lost", window_days="1"),
    *funnel("two_steps", "page_viewed", "conversion"),
    *funnel("same_type_twice", "page_viewed", "page_viewed", "conversion"),
    *funnel("same_type_only", "page_viewed", "page_viewed", window_days="1"),
    *funnel(
        "filtered",
        "page_viewed path=/pricing",
        "page_viewed path=/cart",
        "conversion product=car",
        "page_viewed path=/leave -> left",
    ),
    *funnel("levels", "page_viewed level=5", "conversion"),
    *funnel(
        "step_and_end", "page_viewed", "page_viewed path=/leave", "page_viewed path=/leave -> left"
    ),
    *funnel(
        "loan",
        "application_submitted",
        "offer_sent",
        "conversion => paid",
        "application_declined -> declined",
    ),
]  # fmt: skip
FUNNELS_IN_TIME = [
    row | {"funnel": f"{row['funnel']}_in_time", "window_days": "2"}
    for row in FUNNELS
    if row["funnel"] in ("loan", "filtered")
]

# What a referrer stands for: source and medium, or nothing.
REFERRERS = {
    "": None,
    " HTTPS://user:pw@WWW.News.example.:8443/@x": ("news.example", "referral"),
    "https://www.google.com/": ("google", "organic"),
    "android-app://com.google.android.gm/": ("gmail", "email"),
    "https://loans.example/account": None,
    "https://m.checkout.stripe.com/pay": None,
    "https://shop.example/": None,  # the event's own url has this host
}
# Numbers as JSON writes them, since Python has no float for some of them.
NUMBERS = tuple(
    f"number:{text}"
    for text in [
        "5",
        "5.0",
        "5e0",
        "1e16",
        "0.1234567",
        "123456789012345678",
        "1e300",
        "1e400",
        "-1e-7",
    ]
)
ODD: tuple[object, ...] = (
    *NUMBERS,
    "5",
    "5.0",
    "05",
    "9e2",
    "12x",
    "",
    "x" * 300,
    True,
    None,
    [],
    {"a": 1},
)
VISITS: list[Kind] = [
    ("page_viewed", {"path": path, "device": device})
    for path in ("/pricing", "/cart", "/leave", "/", None)
    for device in ("mobile", "")
]
VISITS += [("screen_viewed", {"screen": "home"}), ("teleported", {"path": "/"})]
SALES: list[Kind] = [("conversion", {"product": product}) for product in ("car", "home")]
TRAFFIC: list[Kind] = [
    *(
        ("page_viewed", {"path": "/", "referrer": each, "url": "http://SHOP.example/x"})
        for each in REFERRERS
    ),
    ("page_viewed", {"utmSource": "Newsletter ", "utmMedium": "Email", "utmCampaign": "Spring"}),
    ("user_signed_up", {"utmSource": "fb", "referrer": "https://www.google.com/"}),
    ("page_viewed", {"utmCampaign": 7}),
]  # fmt: skip
PLAN: list[Kind] = [
    *(("conversion", {"product": "car", "amountCents": value}) for value in ODD),
    *(("conversion", {"gift": value, "product": value}) for value in (True, "true", 1, None, "")),
    *(("conversion", {"due": value}) for value in ("2026-09-01T10:00:00+02:00", "2026-09-01", 7)),
    ("conversion", {"product": "home", "email": "ann@example.com"}),
    *(("page_viewed", {"path": "/", "level": value}) for value in ODD),
]
LOANS: list[Kind] = [
    (event_type, {"amountRequested": 900, "device": "mobile"})
    for event_type in ("application_submitted", "offer_sent", "application_declined")
]
TASK_EVENTS = ("task_scheduled", "task_started", "task_completed", "task_abandoned")
WORK: list[Kind] = [
    (event_type, activity)
    for event_type in TASK_EVENTS
    for activity in (
        {"taskType": "call", "assignee": "ann"},
        {"taskType": "visit"},
        {"taskType": "call", "taskId": "t-1", "assignee": "bob"},
        {"taskId": "t-1", "assignee": 7},
        {"taskName": "visit", "taskId": "t-1"},
        {"taskId": 7},
    )
]
SCORES = (
    *("number:299.5", "number:299.9", 300, "number:300.4", 579, "number:579.49", "number:579.5"),
    *("number:669.5", 670, "700", "700.5", "7e2", "number:7e2", 740, 800, "number:849.6", 850),
    *("number:850.4", "number:1e400", "good", True, None),
)  # fmt: skip
CREDIT: list[Kind] = [
    *(("credit_score_updated", {"ficoScore": score}) for score in SCORES),
    *((event_type, {"amount": 10}) for event_type in ("payment_made", "payment_missed") * 4),
    ("payment_not_due", {}),
]
SUBJECTS = (
    VISITS + SALES, TRAFFIC + SALES, TRAFFIC + VISITS + SALES, LOANS + SALES, WORK,
    CREDIT, CREDIT + SALES + LOANS, PLAN, VISITS + LOANS + SALES + CREDIT,
)  # fmt: skip
BROKEN: list[Activity] = [
    {"activity": []},
    {"userId": {"id": 1}},
    {"occurredAt": "yesterday"},
    {"userId": "guest", "anonymousId": None},
    {"userId": None, "anonymousId": None},
    {"eventType": 7.5e300},
    {"optedOut": "gpc"},
]
