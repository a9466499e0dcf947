"""The dbt docs site: `scripts/docs`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts.lib.cli import UserError, parser, read_settings, run
from scripts.lib.database import open_databases
from scripts.lib.dbt import PROJECT, run_dbt


def generate(arguments: Sequence[str]) -> Path:
    """Generates the site and returns the folder it is in. Raises UserError when dbt fails."""
    settings = read_settings()
    output: list[str] = []
    with open_databases(settings) as databases:
        status = run_dbt(
            ["docs", "generate", *arguments],
            settings,
            databases.destination,
            say=output.append,
            on_line=output.append,
        )
    if status:
        raise UserError("dbt docs generate failed:\n" + "\n".join(output[-20:]))
    return PROJECT / os.environ.get("DBT_TARGET_PATH", "target")


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201


def main() -> int:
    """`scripts/docs`."""
    settings = read_settings()
    arguments = parser("docs", "Generate the dbt docs site (lineage included) and serve it.")
    arguments.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    arguments.add_argument(
        "--static",
        nargs="?",
        type=Path,
        const=settings.data_directory / "docs.html",
        metavar="FILE",
        help="write one HTML file instead of serving (default: %(const)s)",
    )
    options = arguments.parse_args()
    say("Generating the dbt docs ...")
    folder = generate(["--static"] if options.static else [])
    if not json.loads((folder / "catalog.json").read_bytes())["nodes"]:
        say("Nothing is built yet, so column types are missing: run scripts/dbt build.")
    if options.static:
        options.static.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "static_index.html", options.static)
        say(f"Wrote {options.static}: open it in a browser.")
        return 0
    handler = partial(_QuietHandler, directory=folder)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    except OSError as error:
        raise UserError(f"port {options.port}: {error.strerror}; choose one with --port") from error
    with server:
        say(f"Docs on http://127.0.0.1:{server.server_port}. Stop with Ctrl-C.")
        server.serve_forever()
    return 0


class _QuietHandler(SimpleHTTPRequestHandler):
    def handle(self) -> None:
        """Answers; a browser that went away is no error."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Says nothing of single requests."""


if __name__ == "__main__":
    run(main)
