"""Runs the collector: `scripts/serve`."""

from __future__ import annotations

from collector.serve import StartError, serve
from scripts.lib.base.cli import UserError, parser, read_settings, run
from scripts.lib.base.database import open_databases, with_databases


def main() -> int:
    """`scripts/serve`."""
    parser(
        "serve",
        "Run the collector on HOST:PORT (127.0.0.1:3000), landing in DATABASE_URL or, without\n"
        "one, in the embedded PostgreSQL, which it keeps running.",
    ).parse_args()
    settings = read_settings()
    with open_databases(settings) as databases:
        kind = "embedded PostgreSQL: " if databases.embedded else ""
        try:
            serve(with_databases(settings, databases), kind)
        except StartError as error:
            raise UserError(str(error)) from error
    return 0


if __name__ == "__main__":
    run(main)
