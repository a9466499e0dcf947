"""The environment in which dbt finds project and database, and the role that it builds as."""

from __future__ import annotations

import os

from psycopg.errors import InsufficientPrivilege, InvalidParameterValue, UndefinedFunction

from collector.connection import DEFAULTS, open_connection
from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import libpq_environment, require_sessions
from scripts.lib.base.files import put_whole
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import PROJECT, target_path

ROLE = "headwater_transformer"
_MAY_BUILD = "select has_database_privilege(current_database(), 'create')"
_MAY_BE_TERSE = "select has_parameter_privilege('log_error_verbosity', 'set')"
_BUILT_BY_OTHERS = """
    select relnamespace::regnamespace::text from pg_class
    where relname = 'watermarks' and relkind = 'r' and raw.is_to_hand_over(relowner)
        and raw.missed_heartbeats() is not null
"""
# A build's sorts fit into more than 4 MB, and compiling its many statements takes longer than they
# do. What puts one table in the place of another waits for who reads it, and those who come after
# wait for both: not for long. The environment's own PGOPTIONS come later and win.
_SESSION = "-c work_mem=64MB -c jit=off -c lock_timeout=10s " + " ".join(
    "-c {}={}".format(name, value.replace(" ", "\\ ")) for name, value in DEFAULTS.items()
)


def dbt_environment(settings: Settings, database_url: str) -> dict[str, str]:
    """The environment in which dbt, or a tool that loads dbt, finds project and database.

    The profile reads libpq's variables, since its Jinja cannot take a URL apart. Where the login
    role may, all of dbt's connections take `ROLE`. Raises UserError where that cannot work yet.
    """
    require_sessions(database_url, "DESTINATION_DATABASE_URL", options="-c role=none")
    profiles = settings.data_directory / "dbt"
    if "DBT_PROFILES_DIR" not in os.environ:
        profiles.mkdir(parents=True, exist_ok=True)
        put_whole(profiles / "profiles.yml", (ROOT / "profiles.yml.example").read_bytes())
    apart = {} if settings.dbt_target == "prod" else {"DBT_TARGET_PATH": str(target_path(settings))}
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "DBT_PROFILES_DIR": os.environ.get("DBT_PROFILES_DIR", str(profiles)),
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_TARGET": settings.dbt_target,
        "DBT_SCHEMA": settings.dbt_schema,
        **apart,
        **libpq_environment(database_url),
    }
    session = _SESSION + _quiet(database_url)
    if _may_take_role(database_url):
        # Not `role` in the profile: a build with it was refused what the role may do.
        session = f"{session} -c role={ROLE}"
    environment["PGOPTIONS"] = f"{session} {environment.get('PGOPTIONS', '')}".strip()
    return environment


def _quiet(database_url: str) -> str:
    """The option that keeps rows out of PostgreSQL's log, where the login role may set it."""
    with open_connection(database_url, autocommit=True) as connection:
        may = connection.execute(_MAY_BE_TERSE).fetchone() == (True,)
    return " -c log_error_verbosity=terse" if may else ""


def _may_take_role(database_url: str) -> bool:
    """Whether the login role may become `ROLE` and that may build. Raises UserError if not yet."""
    with open_connection(database_url, autocommit=True) as connection:
        try:
            connection.execute(f"set role {ROLE}")
        except (InsufficientPrivilege, InvalidParameterValue):
            return False
        if connection.execute(_MAY_BUILD).fetchone() != (True,):
            return False
        try:
            schemas = [name for (name,) in connection.execute(_BUILT_BY_OTHERS)]
        except UndefinedFunction:
            raise UserError(
                "The raw schema is of an earlier version: run scripts/migrate"
            ) from None
    if schemas:
        names = ", ".join(schemas)
        raise UserError(f"What is in {names} has to be handed over to {ROLE}: run scripts/migrate")
    return True
