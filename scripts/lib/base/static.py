"""Serves a folder of static pages to the browser on this machine."""

from __future__ import annotations

import webbrowser
from collections.abc import Collection, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.local import is_own_host
from collector.serve import StartError, bound
from scripts.lib.base.cli import UserError, say


def serve_folder(
    folder: Path,
    port: int,
    what: str,
    hosts: Sequence[str],
    *,
    open_browser: bool = False,
) -> None:
    """Serves `folder` until it is told to stop. Raises UserError where it cannot listen.

    No folder is listed, and no link out of it is followed. `hosts` are the address to listen on and
    names besides localhost that a request may name; that keeps pages out whose own name leads to
    this machine (DNS rebinding).
    """
    host = hosts[0]
    try:
        own = bound(host, port)
    except StartError as error:
        raise UserError(f"{str(error).partition(';')[0]}; choose a port with --port") from None
    own.listen()
    app = Starlette(exception_handlers={OSError: _not_found})
    app.mount("/", StaticFiles(directory=folder, html=True))
    url = f"http://{host}:{own.getsockname()[1]}"
    say(f"{what} on {url}. Stop with Ctrl-C.")
    if open_browser:
        webbrowser.open(url)
    guarded = _OwnHost(app, hosts)
    uvicorn.Server(uvicorn.Config(guarded, ws="none", log_config=None)).run(sockets=[own])


class _OwnHost:
    """ASGI middleware that answers 403 to a request for another host than this machine."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self.hosts = tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or not is_own_host(named[0], self.hosts):
                app = PlainTextResponse("Name this host in ALLOWED_HOSTS to have it served.", 403)
        await app(scope, receive, send)


async def _not_found(_request: Request, _error: Exception) -> Response:
    """What cannot be opened is not there, a link to itself for one."""
    return PlainTextResponse("Not Found", 404)
