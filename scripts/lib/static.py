"""Serves a folder of static pages to the browser on this machine."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts.lib.cli import UserError


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)  # noqa: T201


def serve_folder(
    folder: Path, port: int, what: str, *, host: str = "127.0.0.1", open_browser: bool = False
) -> None:
    """Serves `folder` until it is told to stop. Raises UserError where it cannot listen."""
    handler = partial(_QuietHandler, directory=folder)
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise UserError(f"port {port}: {error.strerror}; choose one with --port") from error
    with server:
        url = f"http://{host}:{server.server_port}"
        say(f"{what} on {url}. Stop with Ctrl-C.")
        if open_browser:
            webbrowser.open(url)
        server.serve_forever()


class _QuietHandler(SimpleHTTPRequestHandler):
    def handle(self) -> None:
        """Answers; a browser that went away is no error."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Says nothing of single requests."""
