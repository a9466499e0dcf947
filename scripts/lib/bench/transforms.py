"""The rows about dbt: first builds, increments, builds with nothing new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import Goal, Row, Sample, alternated
from scripts.lib.bench.warehouse import (
    EVENTS_PER_USER,
    LARGE,
    SMALL,
    Run,
    Warehouse,
    built,
    landed,
)

ETL_NOTE = "etl.ts makes three tables, slowly because of its ORM; a hand-tuned one would not."


def first_build(bench: Bench) -> Iterator[Row]:
    """Raw to all marts, with and without data tests, beside etl.ts."""
    users = bench.count(SMALL)
    events = users * EVENTS_PER_USER
    missing = bench.prepare_peer(events)

    def ours(*command: str) -> Mapping[str, float]:
        warehouse = landed(bench, "first", users)
        bench.say(f"dbt {command[0]}, first build of {events:,} events")
        return {"wall": warehouse.dbt(*command).wall_seconds}

    def etl() -> Mapping[str, float]:
        bench.say(f"etl.ts on {events:,} events")
        bench.server.settle()
        return {"wall": bench.peer.etl()}

    measurements: list[Callable[[], Mapping[str, float]]] = [
        partial(ours, "run"),
        partial(ours, "build"),
    ]
    models, tested, *others = alternated(bench.runs, *measurements, *([] if missing else [etl]))
    work = f"raw → all marts, {events:,} events, first build"
    peer = Sample("etl.ts, batched", "s", others[0]["wall"]) if others else None
    run = Sample("dbt run", "s", models["wall"])
    build = Sample("dbt build", "s", tested["wall"])
    yield Row(f"{work}, models only", run, peer, Goal("<=", 1 / 3), ETL_NOTE, missing)
    yield Row(f"{work}, with every data test", build, peer, Goal("<=", 1), ETL_NOTE, missing)


def linear(bench: Bench) -> Iterator[Row]:
    """Ten times the events, in the sum of model seconds."""
    small, large = _pair(bench)
    seconds = [_first(warehouse).sum_seconds for warehouse in (small, large)]
    yield Row(
        f"first build, {large.events} against {small.events}: sum of model time",
        Sample(f"{large.events} events", "s", (seconds[1],)),
        Sample(f"{small.events} events", "s", (seconds[0],)),
        Goal("<=", large.users / small.users),
        "One run each; wall seconds "
        f"{_first(large).wall_seconds:.0f} and {_first(small).wall_seconds:.0f}.",
        detail=_by_model(_first(small), _first(large)),
    )


def increment(bench: Bench) -> Iterator[Row]:
    """10,000 new events in two histories that differ tenfold in users, not in days."""
    small, large = _pair(bench)
    pairs: list[tuple[Run, Run]] = []
    for number in range(1, bench.runs + 1):
        for warehouse in (small, large):
            warehouse.land_increment()
        bench.say(f"increment {number} of {bench.runs}: 10,000 new events in {small.events}")
        less = small.dbt("run", "--threads", "1")  # so that models do not wait for one another
        bench.say(f"increment {number} of {bench.runs}: 10,000 new events in {large.events}")
        pairs.append((less, large.dbt("run", "--threads", "1")))
    work = "dbt run after 10,000 new events"
    names = [f"in {warehouse.events}" for warehouse in (large, small)]
    yield Row(
        f"{work}: sum of model time",
        Sample(names[0], "s", tuple(pair[1].sum_seconds for pair in pairs)),
        Sample(names[1], "s", tuple(pair[0].sum_seconds for pair in pairs)),
        Goal("<=", 1.15),
        detail=_by_model(*pairs[-1]),
    )
    yield Row(
        f"{work}: shared blocks hit and read, in all",
        Sample(names[0], "blocks", tuple(float(pair[1].blocks) for pair in pairs)),
        Sample(names[1], "blocks", tuple(float(pair[0].blocks) for pair in pairs)),
        Goal("<=", 1.15),
        "Catalogs included.",
        detail=_by_table(*pairs[-1]),
    )


def idle(bench: Bench) -> Iterator[Row]:
    """Nothing new: dbt is not started. With --force it is."""
    small, large = _pair(bench)

    def run(warehouse: Warehouse, *force: str) -> Mapping[str, float]:
        bench.say(f"dbt run {' '.join(force)} with nothing new in {warehouse.events} events")
        return {"wall": warehouse.dbt("run", *force).wall_seconds}

    run(small)
    run(large)
    some, many, forced = alternated(
        bench.runs, partial(run, small), partial(run, large), partial(run, large, "--force")
    )
    for warehouse, figures in ((small, some), (large, many)):
        ours = Sample("nothing new", "s", figures["wall"])
        yield Row(f"dbt run, nothing new, {warehouse.events} events", ours, goal=Goal("<=", 1, "s"))
    yield Row(
        f"dbt run --force, nothing new, {large.events} events",
        Sample("nothing new", "s", forced["wall"]),
    )


def _pair(bench: Bench) -> tuple[Warehouse, Warehouse]:
    return built(bench, bench.count(SMALL)), built(bench, bench.count(LARGE))


def _first(warehouse: Warehouse) -> Run:
    assert warehouse.first is not None  # noqa: S101
    return warehouse.first


def _by_model(small: Run, large: Run) -> dict[str, list[float]]:
    names = sorted(large.model_seconds, key=lambda name: -large.model_seconds[name])
    return {name: [small.model_seconds[name], large.model_seconds[name]] for name in names}


def _by_table(small: Run, large: Run) -> dict[str, list[float]]:
    names = sorted(large.table_blocks, key=lambda name: -large.table_blocks[name])
    return {
        name: [float(small.table_blocks.get(name, 0)), float(large.table_blocks[name])]
        for name in names
        if large.table_blocks[name] > 1000
    }
