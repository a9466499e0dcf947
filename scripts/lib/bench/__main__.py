"""`scripts/bench`."""

from __future__ import annotations

import os
import shutil
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from collector.settings import ROOT
from scripts.lib.base.cli import UserError, open_console, parser, read_settings, run
from scripts.lib.base.settings import Settings
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import MissingError, Row, ViolationError
from scripts.lib.bench.peer import Peer
from scripts.lib.bench.report import Report, load, save, show, write_docs
from scripts.lib.bench.server import facts, open_server

# Each measurement, about how many minutes it takes on two quiet cores, and where it is made:
# a module of this room, whose import can take seconds, and its function.
MEASUREMENTS: dict[str, tuple[float, str]] = {
    "single": (2.5, "intake.single"),
    "batches": (0.7, "volume.batches"),
    "latency": (0.8, "intake.latency"),
    "backfill": (0.7, "journeys.backfill"),
    "memory": (3, "volume.memory"),
    "first_build": (6, "transforms.first_build"),
    "linear": (3, "transforms.linear"),
    "increment": (2, "transforms.increment"),
    "idle": (2, "transforms.idle"),
    "adversary": (1.5, "adversary.adversary"),
    "questions": (0.1, "readers.questions"),
    "site": (1, "readers.site"),
    "export": (1, "exports.export"),
    "erase": (4, "erasing.erase"),
    "freshness": (2, "journeys.freshness"),
    "against": (15, "against.against"),
    "scale": (15, "scale.scale"),
    "scale_10m": (25, "scale.scale_10m"),
}
APART = {"scale", "scale_10m"}  # of docs/scale.md, for the asking
PAGE = ROOT / "docs" / "benchmarks.md"
IDLE_LOAD = 0.3  # of one core; more, and something else is running


def measure(bench: Bench, names: list[str], report: Report, path: Path, console: Console) -> bool:
    """Takes the measurements and saves after each; returns whether all of them came out."""
    complete = True
    for number, name in enumerate(names, start=1):
        minutes, place = MEASUREMENTS[name]
        console.print(f"[bold]{name}[/] ({number} of {len(names)}, about {minutes:g} min)")
        started = time.monotonic()
        rows: list[Row] = []
        try:
            rows.extend(_measurement(place)(bench))
        except MissingError as error:
            rows.append(Row(name, missing=str(error)))
        except ViolationError as error:
            complete = False
            console.print(f"[red]VIOLATION[/] {escape(str(error))}")
            report.violations.append(str(error))
        except Exception as error:  # the other measurements are still worth having
            complete = False
            console.print(f"[red]failed:[/] {escape(f'{type(error).__name__}: {error}')}")
            rows.append(Row(name, missing=f"failed; see scripts/bench --only {name}"))
        stamped = [
            replace(
                row,
                measurement=name,
                is_quick=bench.quick,
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
                commit=report.facts["commit"],
            )
            for row in rows
        ]
        report.replace(name, stamped, list(MEASUREMENTS))
        save(path, report)
        console.print(f"  {time.monotonic() - started:.0f} s")
    return complete


def bench(options: Namespace, settings: Settings, console: Console) -> int:
    """Measures, shows, saves; returns the exit status."""
    report = load(options.output)
    report.violations = []
    folder = settings.data_directory / "bench"
    with _scratch(folder) as scratch, open_server(options.database_url, scratch) as server:
        report.facts = facts(server)
        if (busy := os.getloadavg()[0]) > IDLE_LOAD:
            console.print(
                f"[yellow]This machine is busy (load {busy:.2f}): ratios are rough, "
                "figures more so.[/]"
            )
        say = partial(_say, console)
        peer = Peer(options.peer.resolve(), scratch / "peer", server)
        run = Bench(server, scratch, peer, say, options.quick, options.against)
        complete = measure(run, options.only, report, options.output, console)
    rows = [row for row in report.rows if row.measurement in options.only]
    show(report, rows, console, with_detail=options.detail)
    console.print(f"Saved in {escape(str(options.output))}; --docs writes it to the documentation.")
    return 0 if complete else 1


def _measurement(place: str) -> Callable[[Bench], Iterator[Row]]:
    module, function = place.split(".")
    found: Callable[[Bench], Iterator[Row]] = getattr(
        import_module(f"scripts.lib.bench.{module}"), function
    )
    return found


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for everything that is measured, on the disk of HEADWATER_DATA; removed at the end.

    The path of a unix socket is limited to about a hundred characters, which the server minds.
    """
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    (folder / "scratch").mkdir(parents=True)
    try:
        yield folder / "scratch"
    finally:
        shutil.rmtree(folder / "scratch", ignore_errors=True)


def _say(console: Console, text: str) -> None:
    console.print(f"  {escape(text)}", style="dim", highlight=False)


def _options() -> Namespace:
    ordinary = [name for name in MEASUREMENTS if name not in APART]
    minutes = sum(MEASUREMENTS[name][0] for name in ordinary)
    arguments = parser(
        "bench",
        "Measure Headwater beside its peers and limits, in one run on one PostgreSQL, and print\n"
        f"a table of ratios. All of it takes about {minutes:.0f} minutes on two quiet cores\n"
        "and 6 GB of disk. docs/benchmarks.md says how each row is measured.",
    )
    arguments.add_argument(
        "--only",
        nargs="+",
        choices=MEASUREMENTS,
        metavar="NAME",
        help="measure these only and keep the others' rows: "
        f"{', '.join(ordinary)}; and, of docs/scale.md, {', '.join(sorted(APART))}",
    )
    arguments.add_argument(
        "--against",
        default="",
        metavar="REVISION",
        help="measure another commit of this repository in turn with this one",
    )
    arguments.add_argument(
        "--quick", action="store_true", help="one short run each, to see that it works"
    )
    arguments.add_argument(
        "--peer",
        type=Path,
        default=ROOT.parent / "shared" / "peers" / "seed-stack",
        metavar="DIR",
        help="the prototype's stack (default: %(default)s)",
    )
    arguments.add_argument(
        "--database-url",
        metavar="URL",
        help="a server whose databases headwater_bench_* may be made and dropped\n"
        "(default: an embedded one of its own)",
    )
    arguments.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="JSON (default: bench/results.json in HEADWATER_DATA)",
    )
    arguments.add_argument(
        "--detail", action="store_true", help="print also what rows are made of: models, tables"
    )
    arguments.add_argument(
        "--docs",
        action="store_true",
        help="measure nothing: write what was measured to docs/benchmarks.md",
    )
    given = arguments.parse_args()
    given.only = given.only or (["against"] if given.against else ordinary)
    given.output = given.output or read_settings().data_directory / "bench" / "results.json"
    return given


def main() -> int:
    """Measures, or writes what was measured to the documentation."""
    options = _options()
    settings = read_settings()
    console = open_console()
    if options.docs:
        report = load(options.output)
        if not report.rows:
            raise UserError(f"nothing is measured yet in {options.output}: run scripts/bench")
        write_docs(PAGE, report)
        console.print(f"Wrote {PAGE}")
        return 0
    return bench(options, settings, console)


if __name__ == "__main__":
    run(main)
