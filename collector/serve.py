"""Runs the collector under uvicorn: one process, or several that share a port (setting WORKERS).

Each of several has a socket of its own on the port; Linux spreads connections over them
(SO_REUSEPORT). Where one process ends, all do, so that whatever started them (systemd, compose)
starts them anew.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from threading import Thread

import psycopg
import uvicorn

from collector.app import create_app
from collector.connection import described, open_connection
from collector.protocol import limited_protocol
from collector.registry import SeedError, supported_event_types
from collector.settings import Settings


class StartError(Exception):
    """The collector cannot run. The text says why, and what to do."""


def serve(settings: Settings, kind: str = "") -> None:
    """Runs the collector until it is told to stop; `kind` is said of the database.

    Raises StartError where it cannot start, or where one of several processes ends by itself.
    """
    require_schema(settings.source_database_url)
    try:
        supported_event_types()
    except SeedError as error:
        raise StartError(str(error)) from None
    _set_up_logging()
    several = settings.workers > 1
    shared = bound(settings.host, settings.port, shared=several)
    host, port = shared.getsockname()[:2]
    url = _url(host, port)
    own_ports = [settings.port and port + 1 + number for number in range(settings.workers)]
    own = [bound(settings.host, each) for each in own_ports] if several else []
    print(  # noqa: T201
        f"Collector on {url}, landing in {kind}{described(settings.source_database_url)}\n"
        f"Try, with -H 'Authorization: Bearer KEY' where there are keys:\n"
        f"  curl {url}/users -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"email": "ada@example.com", "name": "Ada", "ficoScore": 720}}\'\n'
        f"  curl {url}/users\n"
        f"Stop with Ctrl-C.",
        flush=True,
    )
    if several:
        _run_together(replace(settings, port=port), own)
    else:
        _run(replace(settings, port=port), [shared])


def require_schema(database_url: str) -> None:
    """Raises StartError where the database answers and has no raw schema.

    One that does not answer is no reason not to start: the collector waits for it.
    """
    try:
        with open_connection(database_url, connect_timeout=5) as connection:
            row = connection.execute("select to_regclass('raw.events')").fetchone()
    except psycopg.OperationalError:
        return
    if row is None or row[0] is None:
        raise StartError(f"{described(database_url)} has no raw schema yet; run scripts/migrate")


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket on an address, not listening yet. `shared`: others may have the same address.

    Raises StartError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    own = socket.socket(family)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own.bind((host, port))
    except (OSError, OverflowError) as error:
        own.close()
        raise StartError(f"cannot listen on {host}:{port} ({error}); set HOST and PORT") from None
    return own


def _set_up_logging() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("collector").setLevel(logging.INFO)
    requests = logging.getLogger("collector.requests")  # each line a JSON object and nothing else
    requests.addHandler(logging.StreamHandler())
    requests.propagate = False


def _url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  where it listens, not what to call it
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(settings: Settings, sockets: list[socket.socket]) -> None:
    """Runs one process on sockets until it is told to stop."""
    config = uvicorn.Config(
        create_app(settings),
        http=limited_protocol(settings),
        ws="none",
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=sockets)


def _run_together(settings: Settings, own: list[socket.socket]) -> None:
    """Runs a process for each of the sockets, which is its own beside the port they share."""
    ports = ", ".join(str(each.getsockname()[1]) for each in own)
    print(f"{len(own)} processes; each has its metrics at its own port: {ports}.", flush=True)  # noqa: T201

    def work(number: int) -> None:
        Thread(target=_end_with_parent, daemon=True).start()
        shared = bound(settings.host, settings.port, shared=True)
        with suppress(KeyboardInterrupt):
            _run(settings, [shared, own[number]])

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=[number]) for number in range(len(own))]
    for process in processes:
        process.start()
    try:
        wait([process.sentinel for process in processes])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    raise StartError("a process of the collector ended, and so the others were; see its log")


def _end_with_parent() -> None:
    """Else processes whose parent was killed would keep the port."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
