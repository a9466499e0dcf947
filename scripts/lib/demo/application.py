"""A user's loan application in the generated stream: its steps, tasks, offer and payments."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from scripts.lib.demo.journey import DAY, HOUR, Journey

CLERKS = [f"clerk-{number}" for number in range(1, 13)]
PRODUCTS = {"personal_loan": 5, "car_loan": 3, "home_improvement_loan": 2}


def apply_for_loan(journey: Journey) -> None:
    """Adds the application of a user who has signed up; about a quarter never apply.

    Chances lean on the score, so that bands differ in approval and in payments on time.
    """
    rng = journey.rng
    if rng.random() > 0.72:
        return
    at = journey.signed_up + (rng.expovariate(1 / 4) + 0.01) * DAY
    if rng.random() < 0.85:
        at = journey.page(at, path="/pricing", arrives=True)
    amount = rng.randrange(2, 80) * 500
    details = {"amountRequested": amount, "device": journey.device}
    journey.event(at, "application_submitted", details)
    at += timedelta(milliseconds=rng.randint(200, 900))
    journey.event(at, "application_partly_submitted")
    quality = (journey.score - 300) / 550  # of FICO's range
    at += timedelta(minutes=rng.expovariate(1 / 4))
    if rng.random() > 0.2 + 0.75 * quality:
        journey.event(at, "application_declined", {"reason": "automatic checks"})
        return
    journey.event(at, "application_preaccepted")
    at, completed = _task(journey, at, "Complete application", 0.94)
    if not _goes_on(journey, at, completed, 0.5 + 0.45 * quality):
        return
    journey.event(at, "application_accepted", {"amount": amount})
    identity_at, _ = _task(journey, at, "Verify identity", 0.98)
    at, completed = _task(journey, at, "Verify income", 0.95)
    at = max(at, identity_at)
    if not _goes_on(journey, at, completed, 0.96):
        return
    journey.event(at, "application_finalized")
    offer = {"offerId": f"offer-{journey.user_id}", "amount": amount}
    for minutes, step in enumerate(["offer_selected", "offer_created", "offer_sent"]):
        journey.event(at + timedelta(minutes=minutes), step, offer)
    at, _ = _task(journey, at + HOUR, "Follow up offer", 0.9)
    if not _goes_on(journey, at, True, 0.72, refused="offer_cancelled"):
        return
    journey.event(at, "offer_sent_back", offer)
    at, completed = _task(journey, at, "Assess application", 0.97)
    if not _goes_on(journey, at, completed, 0.45 + 0.5 * quality):
        return
    journey.event(at, "offer_accepted", offer)
    for seconds, step in enumerate(["approved", "registered", "activated"]):
        journey.event(at + timedelta(seconds=seconds), f"application_{step}")
    at += timedelta(minutes=rng.uniform(1, 90))
    product = {"product": journey.weighted(PRODUCTS), "amountCents": amount * 100}
    journey.event(at, "conversion", product)
    _repay(journey, at, amount, quality)


def _goes_on(
    journey: Journey, at: datetime, completed: bool, chance: float, refused: str | None = None
) -> bool:
    """Whether the application passes; else says how it ended, or leaves it open."""
    if completed and journey.rng.random() < chance:
        return True
    if journey.rng.random() < 0.05:
        return False
    cancelled = not completed or refused is not None or journey.rng.random() < 0.35
    if refused:
        journey.event(at, refused, {"offerId": f"offer-{journey.user_id}"})
    end = "application_cancelled" if cancelled else "application_declined"
    journey.event(at + timedelta(seconds=2), end)
    return False


def _task(journey: Journey, at: datetime, kind: str, chance: float) -> tuple[datetime, bool]:
    """A clerk's task: scheduled, started, maybe put down and taken up, completed or not."""
    rng = journey.rng
    task_id = f"{journey.user_id}-{kind.lower().replace(' ', '-')}"
    task = {"taskId": task_id, "taskType": kind}
    clerk = rng.choice(CLERKS)
    at += timedelta(minutes=rng.uniform(1, 10))
    journey.event(at, "task_scheduled", {**task, "assignee": clerk})
    at = _office_time(rng, at + rng.expovariate(1 / 9) * HOUR)
    journey.event(at, "task_started", {**task, "assignee": clerk})
    while rng.random() < 0.2:
        at += rng.expovariate(3) * HOUR
        journey.event(at, "task_completed", {**task, "assignee": clerk})
        at = _office_time(rng, at + rng.expovariate(1 / 20) * HOUR)
        clerk = rng.choice(CLERKS)
        journey.event(at, "task_started", {**task, "assignee": clerk})
    worked = rng.expovariate(1.5) * HOUR
    at += worked
    if rng.random() < chance:
        milliseconds = round(worked / timedelta(milliseconds=1))
        details = {**task, "assignee": clerk, "durationMs": milliseconds}
        journey.event(at, "task_completed", details)
        return at + timedelta(minutes=1), True
    if rng.random() < 0.7:
        journey.event(at + 2 * DAY, "task_abandoned", task)
    return at + 2 * DAY, False


def _repay(journey: Journey, at: datetime, amount: int, quality: float) -> None:
    due = round(amount / 24, 2)
    missed = 0
    while (at := at + 14 * DAY) < journey.until:
        if journey.rng.random() < 0.45 * (1 - quality) ** 1.5 + 0.01:
            missed += 1
            details = {"amountDue": due, "monthsLate": missed}
            journey.event(at, "payment_missed", details)
        else:
            missed = 0
            if journey.chance.random() < 0.04:  # it was paid, and booked too late
                journey.event(at, "payment_missed", {"amountDue": due, "monthsLate": 1})
                journey.take_back(at + DAY)
            journey.event(at, "payment_made", {"amount": due, "amountDue": due})


def _office_time(rng: random.Random, at: datetime) -> datetime:
    """The same moment, or one on the next working morning."""
    while at.weekday() > 4 or not 8 <= at.hour < 18:
        early = at.hour < 8 and at.weekday() <= 4
        at = at.replace(hour=8, minute=0, second=0) + timedelta(minutes=rng.uniform(0, 90))
        at += timedelta(days=0 if early else 1)
    return at
