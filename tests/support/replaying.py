"""Replays of small files to a collector, and what the marts would count of them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.lib.replay.making import Options
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.run import replay
from tests.support.collector import Collector

VIEWS = """
event:
  eventType: {from: what, values: {view: page_viewed, buy: conversion}}
  userId: who
  occurredAt: when
  activity: {path: path, amount: {from: amount, type: number}}
"""
TIME = "2026-01-01T10:00:00Z"


class Replayer:
    """Replays files of one folder to one collector."""

    def __init__(self, collector: Collector, folder: Path) -> None:
        self.collector, self.folder = collector, folder
        self.said: list[str] = []

    def __call__(
        self,
        name: str,
        content: str | bytes,
        mapping: str = VIEWS,
        key: str = "",
        **options: Any,  # noqa: ANN401
    ) -> Outcome:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        rules = self.folder / "mapping.yml"
        rules.write_text(mapping)
        self.said.clear()
        return replay(
            path,
            rules if mapping else None,
            url=self.collector.url,
            data_directory=self.folder / "data",
            key=key,
            options=Options(**options),
            say=self.said.append,
        )

    def counted(self) -> Counter[str]:
        """The event types as the marts count them: each id of a source once, but what is voided."""
        rows = self.collector.query(
            """
            with voids as (
                select source, payload -> 'activity' ->> 'eventId' as event_id from raw.events
                where payload ->> 'eventType' = 'event_voided'
            )
            select distinct on (source, event_id) payload ->> 'eventType' from raw.events
            where not exists (
                select from voids where voids.source = events.source
                    and voids.event_id = events.event_id
            )
            order by source, event_id, event_row_id
            """
        )
        kinds = Counter(kind for (kind,) in rows)
        del kinds["event_voided"]
        return kinds


def table(rows: list[list[Any]], header: str = "who,what,when,path,amount") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}"


def views(count: int, start: int = 0) -> list[list[Any]]:
    return [[f"u{n}", "view", TIME, f"/{n}", n] for n in range(start, start + count)]
