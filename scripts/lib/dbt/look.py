"""The look before dbt: whether a run would leave everything as it is, asked in a moment.

A run that succeeded leaves in `builds` what it was made from: macros/incremental/look.sql of the
project, and `Look.keep` the command. Where anything differs, or cannot be told, dbt runs. Where
only rows are new, or came of age, it passes over the views, which are as that run left them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from collector.connection import open_connection
from scripts.lib.dbt.state import keep_manifest
from scripts.lib.dbt.target import option, project_folder

_REPEATABLE = {"build", "run"}
# What depends on files outside the project, or on earlier results.
_UNTOLD = ("--defer", "--profile", "--state", "state:", "result:", "source_status:")
_NOT_PARSED = {"target", "logs"}
_SHOWN = {"--no-use-colors", "--use-colors", "--quiet", "-q"}  # changes what is shown alone
_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-postgres")
_PASSING = {"PGPASSWORD", "PGAPPNAME", "PGPASSFILE"}
# Of the newest row alone: whatever ran after a run that succeeded may have changed anything.
_LOOK = """
    select
        builds.started_at,
        case when isfinite(builds.due_at) then builds.due_at end,
        builds.warnings,
        now() < builds.due_at
        and raw.missed_heartbeats() = 0
        and raw.keep_event_partitions() >= 0
        and not {schema}.has_unread_rows(builds.as_of_xid)
    from (select * from {schema}.builds order by build_id desc limit 1) as builds
    where builds.project = %(project)s
        and (
            builds.arguments = %(arguments)s
            -- A whole build did what a run of everything does.
            or builds.is_whole and builds.arguments = %(as_build)s
        )
        and builds.failures = 0
        and now() >= builds.started_at
        and builds.as_of_xid <= pg_snapshot_xmax(pg_current_snapshot())
        and builds.state = {schema}.state_of_builds()
"""
_NEWEST = "select coalesce(max(build_id), 0) from {schema}.builds"
_CHECKED = "update {schema}.builds set checked_at = clock_timestamp() where build_id = %(newest)s"
_KEEP = """
    update {schema}.builds set arguments = %(arguments)s, project = %(project)s
    where build_id = (select max(build_id) from {schema}.builds) and build_id > %(newest)s
"""


@dataclass(slots=True)
class Look:
    """What dbt is asked for, to be compared with what the newest run was made from.

    `options` are those of dbt's own sessions, `schema` is that of staging, `project` a fingerprint
    of all but the arguments that decides what they do, `manifest` where dbt writes its own.
    """

    database_url: str
    options: str
    schema: str
    arguments: Sequence[str]
    project: str
    manifest: Path
    newest: int = 0
    views_stand: bool = False

    def nothing_new(self) -> str | None:
        """One line on what need not run and why, once that is noted; None where dbt has to run.

        `views_stand` says then whether it may pass over the views.
        """
        self.views_stand = False
        with self._connected() as connection:
            try:
                [(self.newest,)] = self._execute(connection, _NEWEST).fetchall()
                found = self._execute(connection, _LOOK).fetchone()
            except psycopg.ProgrammingError:  # nothing is built yet, or by an earlier version
                return None
            if not found:
                return None
            since, due, warnings, is_nothing_new = found
            self.views_stand = True
            if not is_nothing_new:
                return None
            self._execute(connection, _CHECKED)
        ages = f" before {due:%Y-%m-%d %H:%M %Z}" if due else ""
        warned = f" Tests that warned then: {warnings}." if warnings else ""
        return (
            f"Nothing new since {since:%Y-%m-%d %H:%M %Z}: no row, no change of the project, and "
            f"nothing comes of age{ages}. Nothing was run; --force runs it all the same.{warned}"
        )

    def keep(self) -> None:
        """Notes with the run that has just succeeded what it was asked for, and its manifest."""
        # A project may keep no builds.
        with suppress(psycopg.ProgrammingError), self._connected() as connection:
            self._execute(connection, _KEEP)
            keep_manifest(connection, self.manifest, self.schema)

    def _connected(self) -> psycopg.Connection[Any]:
        return open_connection(
            self.database_url,
            autocommit=True,
            options=self.options,
            application_name="headwater-dbt-look",
        )

    def _execute(
        self, connection: psycopg.Connection[Any], statement: LiteralString
    ) -> psycopg.Cursor[Any]:
        composed = sql.SQL(statement).format(schema=sql.Identifier(self.schema))
        as_build = ["build" if each == "run" else each for each in self.arguments]
        values = {"arguments": Jsonb(self.arguments), "as_build": Jsonb(as_build)}
        return connection.execute(
            composed, {**values, "project": self.project, "newest": self.newest}
        )


def look(
    arguments: Sequence[str], environment: Mapping[str, str], database_url: str, schema: str
) -> Look | None:
    """What `arguments` ask of dbt in `environment`; None where they have it run each time."""
    verbs = _REPEATABLE.intersection(arguments)
    if len(verbs) != 1 or any(part in each for each in arguments for part in _UNTOLD):
        return None
    folder = project_folder(arguments, environment)
    project = fingerprint(folder, environment)
    target = option(
        arguments, "--target-path", default=environment.get("DBT_TARGET_PATH", "target")
    )
    manifest = folder / target / "manifest.json"
    asked = [each for each in arguments if each not in _SHOWN]
    return Look(database_url, environment["PGOPTIONS"], schema, asked, project, manifest)


def fingerprint(folder: Path, environment: Mapping[str, str]) -> str:
    """The files of the project, the profile, the versions of dbt, and dbt's variables."""
    digest = hashlib.sha256()
    for name in _PACKAGES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    for name in sorted(environment.keys() - _PASSING):
        if name.startswith(("DBT_", "PG")) or name == "TZ":
            digest.update(f"{name} {environment[name]}\0".encode())
    profiles = Path(environment["DBT_PROFILES_DIR"])
    for root, files in ((profiles, [profiles / "profiles.yml"]), (folder, folder.rglob("*"))):
        for path in sorted(files):
            name = str(path.relative_to(root))
            if path.is_file() and name.split("/")[0] not in _NOT_PARSED:
                digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
