"""The registry of supported events: the seed that dbt joins to is read by the collector too."""

from __future__ import annotations

import csv

from collector.settings import ROOT

SEED = "dbt_project/seeds/event_types.csv"


def supported_event_types() -> frozenset[str]:
    """The column `event_type`; raises OSError or KeyError where the seed is not readable.

    Excel begins a file with a BOM.
    """
    with (ROOT / SEED).open(encoding="utf-8-sig", newline="") as file:
        return frozenset(row["event_type"] for row in csv.DictReader(file))
