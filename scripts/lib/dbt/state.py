"""What prod was last built from: dbt's manifest, kept with the build in the database itself.

Whoever works on the same database compares the project with it, wherever prod's builds run.
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from pathlib import Path

import psycopg

from collector.connection import open_connection
from scripts.lib.base.files import put_whole
from scripts.lib.dbt.target import STAGING

# Once for each state of the project: the builds that follow are of the same.
_IS_KEPT = """
    select exists (
        select from staging.builds as newest
        where newest.build_id = (select max(build_id) from staging.builds)
            and (not newest.is_whole or exists (
                select from staging.builds as others
                where others.manifest is not null and others.project = newest.project
            ))
    )
"""
_KEEP = """
    with newest as (select max(build_id) as build_id from staging.builds)
    update staging.builds set manifest = case when builds.build_id = newest.build_id then %s end
    from newest
    where builds.build_id = newest.build_id or builds.manifest is not null
"""
_KEPT = "select manifest from staging.builds where manifest is not null order by build_id desc"


def keep_manifest(connection: psycopg.Connection, manifest: Path, schema: str) -> None:
    """Keeps `manifest` with the newest build of prod, if that was one of everything.

    Not half of one, which dbt of another command is just writing: the next build keeps it then.
    """
    if schema == STAGING and connection.execute(_IS_KEPT).fetchone() != (True,):
        content = manifest.read_bytes()
        with suppress(ValueError):
            json.loads(content)
            connection.execute(_KEEP, [zlib.compress(content)])


def prod_state(database_url: str, options: str, folder: Path) -> Path | None:
    """The folder with the manifest of prod's last whole build, for dbt's --state; None without one.

    `folder` is where it is written; `options` are those of dbt's sessions.
    """
    try:
        with open_connection(database_url, options=options) as connection:
            kept = connection.execute(_KEPT).fetchone()
    except psycopg.ProgrammingError:  # nothing is built yet, or by an earlier version
        return None
    if not kept:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    put_whole(folder / "manifest.json", zlib.decompress(kept[0]))
    return folder
