"""A collector's transactions as they overlap, at random."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from typing import Any

import psycopg

from scripts.lib.demo.generator import generate
from tests.support.warehouse import land


class Writer(threading.Thread):
    """Lands generated events in two transactions at a time, until it is stopped.

    Now the one commits first, now the other, so that rows with low ids appear after rows with
    higher ones; sometimes a transaction is rolled back, sometimes events are sent again.
    """

    def __init__(self, database_url: str, seed: int) -> None:
        super().__init__()
        self.database_url = database_url
        # An id of its own for each copy: a void would name none of them.
        models = generate(users=100, seed=seed).events
        self.models = [event for event in models if event["eventType"] != "event_voided"]
        self.landed: list[dict[str, Any]] = []
        self.rng = random.Random(seed)
        self.stopping = threading.Event()
        self.failure: Exception | None = None

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join()

    def run(self) -> None:
        try:
            with (
                closing(psycopg.connect(self.database_url)) as one,
                closing(psycopg.connect(self.database_url)) as other,
            ):
                while not self.stopping.is_set():
                    self._land_in(*self.rng.sample((one, other), 2))
        except psycopg.Error as error:
            self.failure = error

    def _land_in(self, early: psycopg.Connection[Any], late: psycopg.Connection[Any]) -> None:
        first, second, third = self._batch(), self._batch(), self._batch()
        land(early, first, self._received_at())
        land(late, second, self._received_at())
        time.sleep(self.rng.choice((0, 0.05, 0.2)))
        late.commit()
        self.landed += second
        land(early, third, self._received_at())
        time.sleep(self.rng.choice((0, 0.05, 0.5)))
        if self.rng.random() < 0.1:
            early.rollback()
        else:
            early.commit()
            self.landed += first + third

    def _batch(self) -> list[dict[str, Any]]:
        new = [
            event | {"eventId": f"{event['eventId']}/{self.rng.getrandbits(64):x}"}
            for event in self.rng.sample(self.models, self.rng.randint(1, 20))
        ]
        return new + self.rng.sample(self.landed, min(len(self.landed), self.rng.randint(0, 3)))

    def _received_at(self) -> str:
        """Clocks of collectors differ: the copy sent last can be the one received first."""
        return f"2026-11-01 00:00:{self.rng.uniform(0, 59):06.3f}+00"
