"""Builds the marts from a lake on Apache Spark: `scripts/spark`."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from scripts.lib.base.cli import UserError, between, parser, read_settings, run
from scripts.lib.dbt.target import PROJECT
from scripts.lib.lake.registry import require_extra

DESCRIPTION = """Build the marts from a lake (scripts/export) on Apache Spark: the same dbt project,
as whole tables of Parquet, in FOLDER/current/marts.db, where a build appears once it is whole.

Without --master it runs on a cluster of its own on this machine, which is for trials. The key of
email hashes is read from the database (MIGRATION_DATABASE_URL), as its owner.
docs/spark.md says how far it goes."""
_MASTER = re.compile(
    r"local(\[([1-9]\d*|\*)(\s*,\s*[1-9]\d*)?\])?|spark://[^\s,/:]+:\d+(,[^\s,/:]+:\d+)*"
    r"|yarn|k8s://\S+"
)


def read_arguments() -> argparse.Namespace:
    """The arguments of the command."""
    arguments = parser("spark", DESCRIPTION)
    arguments.add_argument(
        "--lake", metavar="URI", required=True, help="where scripts/export wrote"
    )
    arguments.add_argument(
        "--to", metavar="FOLDER", required=True, help="where builds go; all workers have to see it"
    )
    arguments.add_argument(
        "--master",
        type=master,
        metavar="URL",
        help="a cluster that runs, as spark://HOST:7077, or local[2]",
    )
    arguments.add_argument(
        "--workers",
        type=between(1, 64),
        default=2,
        metavar="N",
        help="workers of the cluster of its own, each of one core and 2 GB (default: %(default)s)",
    )
    arguments.add_argument(
        "--conf", action="append", default=[], metavar="NAME=VALUE", help="a setting of Spark's"
    )
    arguments.add_argument(
        "--event-log", metavar="FOLDER", help="have Spark write its events there"
    )
    arguments.add_argument(
        "--as-of", type=moment, metavar="TIME", help="the time of the build (default: now)"
    )
    arguments.add_argument(
        "--test",
        action="store_true",
        help="run the unit and data tests of the models as well, on Spark",
    )
    arguments.add_argument(
        "--project", type=Path, default=PROJECT, metavar="FOLDER", help="another dbt project"
    )
    return arguments.parse_args()


def master(text: str) -> str:
    """The type of a master: the forms that Spark has for a session that is in this process."""
    if _MASTER.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(
        "must be spark://HOST:PORT (several with commas between), local, local[N], local[*],"
        " local[N,FAILURES], yarn or k8s://HOST:PORT"
    )


def moment(text: str) -> datetime:
    """The type of a time with its zone, as 2026-11-29T12:00:00Z."""
    with suppress(ValueError):
        if (at := datetime.fromisoformat(text)).tzinfo:
            return at.astimezone(UTC)
    raise argparse.ArgumentTypeError("must be a time with its zone, as 2026-11-29T12:00:00Z")


def main() -> int:
    """`scripts/spark`."""
    options = read_arguments()
    settings = read_settings()
    require_extra()
    if not (options.project / "dbt_project.yml").exists():
        raise UserError(f"{options.project} is no dbt project")
    from scripts.lib.spark.build import build  # noqa: PLC0415  of extras

    return build(settings, options)


if __name__ == "__main__":
    run(main)
