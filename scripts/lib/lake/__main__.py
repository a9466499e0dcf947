"""Writes new rows of raw to a lake of Parquet files: `scripts/export`."""

from __future__ import annotations

import argparse

from scripts.lib.base.cli import between, parser, read_settings, run
from scripts.lib.lake.registry import require_extra

DESCRIPTION = """Write new rows of raw (events, users, refusals, opt-outs) to a lake: Parquet files
by day of receipt, in a folder or in S3. Each committed row comes once, whatever is killed; a
scheduler may run it as often as you like. docs/lake.md says how to read the lake.

It takes the owner of raw, as scripts/erase does, which reaches the lake from then on. Several
databases may write to one lake, each under a name of its own."""
TABLES = ("events", "users", "rejected_events", "opt_outs")
STEP_ROWS = 2_000_000  # what a killed export loses at most


def read_arguments() -> argparse.Namespace:
    """The arguments of the command."""
    arguments = parser("export", DESCRIPTION)
    arguments.add_argument(
        "--to",
        metavar="URI",
        required=True,
        help="a folder, or s3://bucket/prefix (with AWS_ACCESS_KEY_ID and so on)",
    )
    arguments.add_argument(
        "--as",
        dest="name",
        default="",
        metavar="NAME",
        help="what this database is called there (default: what it was, or its own name)",
    )
    arguments.add_argument(
        "--step",
        type=between(1, 1_000_000_000),
        default=STEP_ROWS,
        metavar="ROWS",
        help="show what was written after so many rows of a table (default: %(default)s)",
    )
    arguments.add_argument(
        "--reconcile",
        action="store_true",
        help="after a restore or a failover: compare all rows with the lake, by their ids",
    )
    does = arguments.add_mutually_exclusive_group()
    does.add_argument(
        "--compact", action="store_true", help="then make few files of many, day by day"
    )
    does.add_argument(
        "--files", choices=TABLES, metavar="TABLE", help="only name the files of a table"
    )
    does.add_argument("--forget", action="store_true", help="forget a lake that is no more")
    return arguments.parse_args()


def main() -> int:
    """`scripts/export`."""
    options = read_arguments()
    require_extra()
    from scripts.lib.lake.command import (  # noqa: PLC0415  with the extra only
        export,
        forget_lake,
        name_files,
    )

    if options.files:
        return name_files(options.to, options.files)
    settings = read_settings()
    if options.forget:
        return forget_lake(settings, options.to)
    return export(settings, options)


if __name__ == "__main__":
    run(main)
