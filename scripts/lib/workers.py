"""Several processes of the collector that share one port: setting WORKERS.

Each has a socket of its own on the port; Linux spreads connections over them (SO_REUSEPORT).
Where one process ends, all do, so that whatever started them (systemd, compose) starts them anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from threading import Thread

from scripts.lib.base.cli import UserError


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket on an address, not listening yet. `shared`: others may have the same address.

    Raises UserError where the address cannot be had.
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
        raise UserError(f"cannot listen on {host}:{port} ({error}); set HOST and PORT") from None
    return own


def run_workers(work: Callable[[int], None], count: int) -> None:
    """Runs `work(0)` to `work(count - 1)` as processes until this one is told to end.

    Raises UserError where one of them ends by itself, once the others have ended too.
    """
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_run, args=(work, n)) for n in range(count)]
    for process in processes:
        process.start()
    try:
        wait([process.sentinel for process in processes])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    raise UserError("a process of the collector ended, and so the others were; see its log")


def _run(work: Callable[[int], None], number: int) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(KeyboardInterrupt):
        work(number)


def _end_with_parent() -> None:
    """Else processes whose parent was killed would keep the port."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
