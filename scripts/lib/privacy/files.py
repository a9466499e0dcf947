"""The files that can have something of people in them, on the machine of the builds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import PROJECT
from scripts.lib.site.build import build_site


def forget_dbt_files(project: Path = PROJECT) -> None:
    """Empties dbt's logs, where `dbt show` leaves rows, and removes what it compiled and ran.

    A log is emptied and not removed, since a process may have it open.
    """
    for log in (project / os.environ.get("DBT_LOG_PATH", "logs")).glob("*.log*"):
        os.truncate(log, 0)
    target = project / os.environ.get("DBT_TARGET_PATH", "target")
    for name in ("compiled", "run"):
        for folder in list(target.rglob(name)):  # those of developers' targets as well
            shutil.rmtree(folder, ignore_errors=True)
    for results in list(target.rglob("run_results.json")):
        results.unlink(missing_ok=True)


def rebuild_pages(
    settings: Settings, database_url: str, folders: list[Path], say: Callable[[str], None]
) -> None:
    """Builds the site anew where it was built, by default or in `folders`, and drops dbt's docs,
    which are generated anew when they are asked for."""
    shutil.rmtree(settings.data_directory / "docs", ignore_errors=True)
    for folder in dict.fromkeys([settings.data_directory / "site", *folders]):
        if folder.is_dir():
            say(f"Building the site in {folder} anew ...")
            build_site(settings, database_url, folder, with_docs=(folder / "docs").is_dir())
