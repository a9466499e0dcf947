"""Lints the SQL of dbt_project with sqlfluff, whose dbt templater needs a database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from collector.settings import ROOT
from scripts.lib.base.cli import read_settings, run
from scripts.lib.base.database import open_databases
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.target import PROJECT

SQLFLUFF = Path(sys.executable).with_name("sqlfluff")


def main() -> int:
    """Lints the files that are named, or all, and returns sqlfluff's exit status."""
    files = sys.argv[1:] or [str(PROJECT / name) for name in ("models", "tests")]
    settings = read_settings()
    with open_databases(settings) as databases:
        return subprocess.call(
            [SQLFLUFF, "lint", "--disable-progress-bar", *files],
            env=dbt_environment(settings, databases.destination),
            cwd=ROOT,
        )


if __name__ == "__main__":
    run(main)
