"""Runs the collector: `scripts/serve`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import replace

import psycopg
import uvicorn

from collector.app import create_app
from collector.protocol import limited_protocol
from collector.settings import Settings
from scripts.lib.base.cli import UserError, parser, read_settings, run
from scripts.lib.base.database import described, open_databases, with_databases
from scripts.lib.workers import bound, run_workers


def require_schema(database_url: str) -> None:
    """Raises UserError where the database answers and has no raw schema.

    One that does not answer is no reason not to start: the collector waits for it.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            row = connection.execute("select to_regclass('raw.events')").fetchone()
    except psycopg.OperationalError:
        return
    if row is None or row[0] is None:
        raise UserError(f"{described(database_url)} has no raw schema yet; run scripts/migrate")


def serve(settings: Settings) -> None:
    """Runs the collector until it is told to stop. Raises UserError when it cannot start."""
    with open_databases(settings) as databases:
        require_schema(databases.source)
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("collector").setLevel(logging.INFO)
        lines = logging.StreamHandler()  # each a JSON object and nothing else
        logging.getLogger("collector.requests").addHandler(lines)
        logging.getLogger("collector.requests").propagate = False
        several = settings.workers > 1
        shared = bound(settings.host, settings.port, shared=several)
        host, port = shared.getsockname()[:2]
        own_ports = [settings.port and port + 1 + number for number in range(settings.workers)]
        settings = replace(with_databases(settings, databases), port=port)
        kind = "embedded PostgreSQL: " if databases.embedded else ""
        url = _url(host, port)
        print(  # noqa: T201
            f"Collector on {url}, landing in {kind}{described(databases.source)}\n"
            f"Try:\n"
            f"  curl {url}/users -H 'Content-Type: application/json' \\\n"
            f'    -d \'{{"email": "ada@example.com", "name": "Ada", "ficoScore": 720}}\'\n'
            f"  curl {url}/users\n"
            f"Stop with Ctrl-C.",
            flush=True,
        )
        if several:
            _serve_together(settings, own_ports)
        else:
            _run(settings, [shared])


def _serve_together(settings: Settings, own_ports: Sequence[int]) -> None:
    """Runs WORKERS processes on the port, each also on a port of its own, for its metrics."""
    own = [bound(settings.host, port) for port in own_ports]
    ports = ", ".join(str(each.getsockname()[1]) for each in own)
    print(f"{len(own)} processes; each has its metrics at its own port: {ports}.", flush=True)  # noqa: T201

    def work(number: int) -> None:
        shared = bound(settings.host, settings.port, shared=True)
        _run(settings, [shared, own[number]])

    run_workers(work, len(own))


def _run(settings: Settings, sockets: list[socket.socket]) -> None:
    """Runs one process of the collector on sockets until it is told to stop."""
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


def _url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  where it listens, not what to call it
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main() -> int:
    """`scripts/serve`."""
    parser(
        "serve",
        "Run the collector on HOST:PORT (127.0.0.1:3000), landing in DATABASE_URL or, without\n"
        "one, in the embedded PostgreSQL, which it keeps running.",
    ).parse_args()
    serve(read_settings())
    return 0


if __name__ == "__main__":
    run(main)
