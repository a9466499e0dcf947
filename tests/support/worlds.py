"""Worlds of users for whole builds, and definitions that have what there is to get wrong."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.settings import ROOT
from tests.support.kinds import FUNNELS, FUNNELS_IN_TIME
from tests.support.warehouse import Warehouse

LIMITS = {
    "retention_weeks": "3",
    "carry_forward_days": "5",
    "segment_values": "2",
    "attribution_window_days": "2",
    "attribution_half_life_days": "2",
    "attribution_max_touches": "4",
}
SEGMENTS = ("path", "level")
PLANNED = [
    {"event_type": "conversion", "property": name, "data_type": data_type,
     "is_required": str(name == "due").lower(), "pii_class": pii_class, "description": name}
    for name, data_type, pii_class in (
        ("gift", "boolean", "none"),
        ("due", "timestamp", "none"),
        ("email", "text", "direct_identifier"),
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """So many users from a Monday on, and the reporting time zone of each build.

    `midnights` are those at which a day of 23 or 25 hours begins or ends in these zones.
    """

    users: int
    monday: datetime
    zones: tuple[str, ...]
    midnights: tuple[datetime, ...]


SMALL = World(
    200,
    datetime(2026, 8, 31, tzinfo=UTC),
    ("UTC", "America/Santiago"),
    (datetime(2026, 9, 6, 4, tzinfo=UTC),),
)
LARGE = World(
    800,
    datetime(2026, 10, 19, tzinfo=UTC),
    ("UTC", "Asia/Beirut", "America/Havana"),
    (datetime(2026, 10, 24, 21, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC)),
)


def define(warehouse: Warehouse, *, changed: bool, zone: str) -> None:
    """The definitions of the first build, or those that they are changed to after it."""
    shipped = ROOT / "dbt_project" / "seeds"

    def rows(seed: str) -> list[dict[str, str]]:
        with (shipped / f"{seed}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    values = LIMITS | {"time_zone": zone}
    warehouse.set_seed("segments", [{"segment": each, "property": each} for each in SEGMENTS])
    warehouse.set_seed("event_properties", rows("event_properties") + PLANNED)
    warehouse.set_seed("funnels", FUNNELS)
    if changed:
        values["clock_tolerance_minutes"] = "4"
        warehouse.set_seed("funnels", FUNNELS + FUNNELS_IN_TIME)
        warehouse.set_seed("sources", [*rows("sources"), {"source": "ci", "is_test": "true"}])
        warehouse.set_seed("illegal_ids", [*rows("illegal_ids"), {"id": "visitor0"}])
        bands = {row["band"]: row for row in rows("score_bands")}
        bands["poor"]["max_score"], bands["fair"]["min_score"] = "578", "579"
        bands["fair"]["max_score"], bands["good"]["min_score"] = "699", "700"
        warehouse.set_seed("score_bands", bands.values())
    settings = rows("project_settings")
    warehouse.set_seed(
        "project_settings",
        [row | {"value": values.get(row["setting"], row["value"])} for row in settings],
    )
