"""`scripts/site`."""

from __future__ import annotations

import argparse
import time
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread

from scripts.lib.base.cli import between, counted, parser, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import MAX_AGE, Settings
from scripts.lib.base.static import serve_folder
from scripts.lib.dbt.target import read_target
from scripts.lib.site.build import build_site
from scripts.lib.site.state import tell_failure


def main() -> int:
    """Builds the site, and opens or serves it where told to."""
    arguments = parser(
        "site",
        "Build the insights site from the marts: static pages that any web server, or a\n"
        "double-click, shows. They ask for nothing outside their folder.",
    )
    arguments.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: site in HEADWATER_DATA)",
    )
    arguments.add_argument(
        "--days",
        type=between(1, 8000),
        default=400,
        help="how many days to show (default: %(default)s)",
    )
    arguments.add_argument(
        "--max-age",
        type=between(1, 525_600),
        default=MAX_AGE // timedelta(minutes=1),
        metavar="MINUTES",
        help="how old data are that pages warn of, as for scripts/status (default: %(default)s)",
    )
    arguments.add_argument(
        "--user",
        action="append",
        default=[],
        dest="users",
        metavar="ID",
        help="show this user's story too, whoever is among the notable ones; may be repeated",
    )
    arguments.add_argument(
        "--no-docs", action="store_true", help="leave out the dbt docs, which take longest"
    )
    arguments.add_argument("--open", action="store_true", help="open it in the browser")
    arguments.add_argument("--serve", action="store_true", help="serve it on HOST (127.0.0.1)")
    arguments.add_argument(
        "--port", type=between(0, 65_535), default=8080, help="of --serve (default: %(default)s)"
    )
    arguments.add_argument(
        "--every",
        type=between(1, 86_400),
        metavar="SECONDS",
        help="with --serve: build it again so often",
    )
    options = arguments.parse_args()
    if options.every and not options.serve:
        arguments.error("--every goes with --serve")
    settings = read_target()
    options.output = options.output or settings.data_directory / "site"
    build = partial(_build, settings, options)
    index = build()
    if options.serve:
        if options.every:
            Thread(target=_repeat, args=(build, options.every, index.parent), daemon=True).start()
        serve_folder(
            index.parent,
            options.port,
            "Site",
            [settings.host, *settings.allowed_hosts],
            open_browser=options.open,
        )
    elif options.open:
        webbrowser.open(index.as_uri())
    else:
        say("Open it in a browser, or serve it with scripts/site --serve.")
    return 0


def _build(settings: Settings, options: argparse.Namespace) -> Path:
    """Builds the site once, says how that went, and returns its first page."""
    started = time.monotonic()
    with open_databases(settings) as databases:
        site = build_site(
            settings,
            databases.destination,
            options.output.resolve(),
            days=options.days,
            users=options.users,
            with_docs=not options.no_docs,
            max_age=timedelta(minutes=options.max_age),
            every=options.every,
        )
    took = time.monotonic() - started
    say(f"Wrote {site.index} ({counted(site.events, 'event')}) in {took:.1f} s.")
    if not site.is_built:
        say("Nothing is built yet: run scripts/dbt build, then scripts/site again.")
    elif not site.events:
        say("There are no events yet: send some, run scripts/dbt build, then scripts/site again.")
    if site.heavy:
        say(f"Heavier than 3 MB: {', '.join(site.heavy)}; --days {options.days // 2} is lighter.")
    return site.index


def _repeat(build: Callable[[], Path], pause: int, folder: Path) -> None:
    """Builds again and again; where that fails, what is served in `folder` stays and says so."""
    while True:
        time.sleep(pause)
        try:
            build()
        except Exception as error:  # whatever it is, the next time may be better
            say(f"Not built again: {error or type(error).__name__}")
            with suppress(OSError):  # a full disk, for one
                tell_failure(folder)


if __name__ == "__main__":
    run(main)
