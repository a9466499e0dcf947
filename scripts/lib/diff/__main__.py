"""`scripts/diff`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rich.markdown import Markdown

from collector.connection import open_connection
from scripts.lib.base.cli import open_console, parser, read_settings, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.diff.effects import Effects, effects
from scripts.lib.diff.page import page

DIFFERS = 3  # the exit status that --fail-on has
# What a change can be made to fail on.
FAILURES: Mapping[str, Callable[[Effects], bool]] = {
    "numbers": lambda found: bool(found.numbers),
    "rows": lambda found: any(mart.has_other_rows for mart in found.marts),
    "removed": lambda found: any(mart.removed for mart in found.marts) or bool(found.gone),
    "columns": lambda found: (
        bool(found.new or found.gone)
        or any(mart.new_columns or mart.gone_columns or mart.retyped for mart in found.marts)
    ),
    "breaking": lambda found: (
        bool(found.gone) or any(mart.gone_columns or mart.retyped for mart in found.marts)
    ),
}
DESCRIPTION = """Show what a change of dbt_project does, before it ships: build what it concerns
into schemas of your own, from the rows that prod has read, and compare that with prod: numbers of
the report with the definitions they follow, rows added, removed and changed in each mart, columns,
and ten rows of each as examples. Personal data is not shown."""


def show(text: str) -> None:
    """Prints Markdown: laid out on a terminal, in a file or a pipe as it is."""
    if sys.stdout.isatty():
        open_console().print(Markdown(text))
    else:
        say(text)


def main() -> int:
    """Builds the change, compares, prints."""
    arguments = parser("diff", DESCRIPTION)
    arguments.add_argument(
        "--against",
        default="prod",
        metavar="prod|REVISION",
        help="what is a change: what differs from the project that prod was last built from, or"
        " from a revision of git (%(default)s)",
    )
    arguments.add_argument("--markdown", type=Path, metavar="FILE", help="write it there as well")
    arguments.add_argument(
        "--fail-on",
        action="append",
        choices=FAILURES,
        default=[],
        help=f"end with status {DIFFERS} where there are such differences; may be repeated",
    )
    options = arguments.parse_args()
    # They take seconds.
    from scripts.lib.dbt.lock import end_backends_when_told  # noqa: PLC0415
    from scripts.lib.dbt.runner import KeepingRunner  # noqa: PLC0415
    from scripts.lib.dbt.within import Dbt  # noqa: PLC0415
    from scripts.lib.diff.build import build_change, cut_off, enter  # noqa: PLC0415

    settings = read_settings()
    if settings.dbt_target == "prod":
        settings = replace(settings, dbt_target="dev")
    started = time.monotonic()
    with open_databases(settings) as databases:
        url = databases.destination
        schema = enter(settings, url)
        end_backends_when_told(url, schema)
        dbt = Dbt(KeepingRunner(late={"as_of", "as_of_xid"}))
        built = build_change(dbt, url, schema, options.against)
        with open_connection(url, autocommit=True) as connection:
            found = effects(connection, built)
            is_same = cut_off(connection).build == built.cut_off.build
    title = f"Against prod as of {built.cut_off.as_of:%Y-%m-%d %H:%M %Z}"
    text = page(found, title)
    if not is_same:
        text += "\nProd was built meanwhile, so some of this may be new rows: run it again.\n"
    show(text)
    say(f"Built and compared in {time.monotonic() - started:.1f} s.")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    return DIFFERS if any(FAILURES[name](found) for name in options.fail_on) else 0


if __name__ == "__main__":
    run(main)
