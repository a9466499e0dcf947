"""Runs the collector: `scripts/serve`."""

from __future__ import annotations

import logging

import psycopg
import uvicorn

from collector.app import create_app
from collector.protocol import limited_protocol
from collector.settings import Settings
from scripts.lib.cli import UserError, parser, read_settings, run
from scripts.lib.database import described, open_databases, with_databases


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
        app = create_app(with_databases(settings, databases))
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("collector").setLevel(logging.INFO)
        config = uvicorn.Config(
            app,
            settings.host,
            settings.port,
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
        try:
            socket = config.bind_socket()
        except SystemExit:  # uvicorn has logged the reason
            raise UserError(
                f"cannot listen on {settings.host}:{settings.port}; set HOST and PORT"
            ) from None
        host, port = socket.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        kind = "embedded PostgreSQL: " if databases.embedded else ""
        print(  # noqa: T201
            f"Collector on {url}, landing in {kind}{described(databases.source)}\n"
            f"Try:\n"
            f"  curl {url}/users -H 'Content-Type: application/json' \\\n"
            f'    -d \'{{"email": "ada@example.com", "name": "Ada", "ficoScore": 720}}\'\n'
            f"  curl {url}/users\n"
            f"Stop with Ctrl-C.",
            flush=True,
        )
        uvicorn.Server(config).run(sockets=[socket])


def main() -> int:
    """`scripts/serve`."""
    parser(
        "serve",
        "Run the collector on HOST:PORT (127.0.0.1:8000), landing in DATABASE_URL or, without\n"
        "one, in the embedded PostgreSQL, which it keeps running.",
    ).parse_args()
    serve(read_settings())
    return 0


if __name__ == "__main__":
    run(main)
