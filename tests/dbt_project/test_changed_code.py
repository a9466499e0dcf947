"""Changed code is applied by the next ordinary build, to what it concerns and to nothing else."""

from __future__ import annotations

from pathlib import Path

from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse

FCT_TASKS = Path("models/tasks/marts/fct_tasks.sql")
PLAUSIBLE_TIME = Path("macros/casts/plausible_time.sql")


def edit(warehouse: Warehouse, file: Path, before: str, after: str) -> None:
    path = warehouse.project / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def said(printed: str) -> list[str]:
    """What a build says about changed code, without the time."""
    return sorted(line[10:] for line in printed.splitlines() if "computed anew" in line)


def versions(warehouse: Warehouse, table: str) -> list[tuple[str, ...]]:
    return warehouse.query(f"select distinct xmin::text from {table} order by 1")  # noqa: S608


def test_code_is_part_of_the_definition(warehouse: Warehouse) -> None:
    ancient = {
        "eventId": "ancient",
        "eventType": "page_viewed",
        "userId": "ann",
        "occurredAt": "1990-01-01T00:00:00Z",
        "activity": {"path": "/"},
    }
    warehouse.land(*generate(users=10, seed=31).events, ancient)
    assert said(warehouse.run()) == []
    written = versions(warehouse, "intermediate.int_events")

    # Comments and white space are no change; a column with another type is.
    edit(warehouse, FCT_TASKS, "with\n", "-- Tasks.\nwith\n\n")
    assert said(warehouse.run()) == []
    edit(warehouse, FCT_TASKS, "select * from final", "select *, 1 as version from final")
    contract = FCT_TASKS.with_suffix(".yml")
    column = "      - name: version\n        data_type: {}\n        description: Of the rules.\n"
    edit(warehouse, contract, "    columns:\n", "    columns:\n" + column.format("integer"))
    assert said(warehouse.run()) == ["fct_tasks was changed: computed anew"]
    edit(warehouse, contract, column.format("integer"), column.format("text"))
    edit(warehouse, FCT_TASKS, "1 as version", "'two'::text as version")
    warehouse.run()
    assert warehouse.query("select distinct version from marts.fct_tasks") == [("two",)]
    assert versions(warehouse, "intermediate.int_events") == written

    # Staging follows its macros, as long as raw has the rows.
    edit(warehouse, PLAUSIBLE_TIME, "438000 hours", "87600 hours")
    printed = said(warehouse.run())
    assert "stg_events was changed: computed anew" in printed
    assert "int_sessions reads what was changed: computed anew" in printed
    ancient_year = (
        "select extract(year from occurred_at)::integer from marts.fct_events"
        " where event_id = 'ancient'"
    )
    assert warehouse.query(ancient_year) == [(2016,)]
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)

    # What raw no longer has stays as it was made.
    warehouse.execute("delete from raw.events where event_id = 'ancient'")
    warehouse.land({**ancient, "eventId": "ancient too", "userId": "bob"})
    edit(warehouse, PLAUSIBLE_TIME, "87600 hours", "43800 hours")
    [of_staging] = [line for line in said(warehouse.run()) if line.startswith("stg_events")]
    assert "but for 1 rows that raw no longer has" in of_staging
    assert warehouse.query(ancient_year.replace("'ancient'", "'ancient too'")) == [(2021,)]
    assert warehouse.query(ancient_year) == [(2016,)]
    warehouse.dbt("test", "--select", "test_type:singular")
    assert said(warehouse.run()) == []
