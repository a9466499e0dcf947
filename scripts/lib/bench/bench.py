"""What all measurements share: the server, a folder, how long to run, and the peer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.running import Running, running_collector
from scripts.lib.bench.measure import MissingError
from scripts.lib.bench.peer import Peer
from scripts.lib.bench.server import Server

_UNTIL_READY = urllib3.Retry(20, status_forcelist={503}, backoff_factor=0.05)


@dataclass(slots=True)
class Bench:
    """One run of `scripts/bench`. `say` tells what is being done; `warehouses` keeps what was
    built, so that the rows of dbt share it."""

    server: Server
    folder: Path
    peer: Peer
    say: Callable[[str], None]
    quick: bool = False
    against: str = ""  # a revision
    warehouses: dict[int, Any] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How often each measurement is taken."""
        return 1 if self.quick else 3

    def seconds(self, full: float) -> float:
        """How long load is put on: `full`, or a short time with --quick."""
        return 2 if self.quick else full

    def count(self, full: int) -> int:
        """How many events: `full`, or a tenth with --quick."""
        return full // 10 if self.quick else full

    def prepare_peer(self, events: int) -> str:
        """Readies the peer with so many events in its database; says why where that fails."""
        self.say("preparing the peer; installing it takes a minute")
        try:
            self.peer.prepare(events)
        except MissingError as error:
            return str(error)
        return ""

    @contextmanager
    def collector(
        self, database_url: str, tree: Path = ROOT, /, **environment: str
    ) -> Iterator[Running]:
        """A collector of a checkout on a database, ready, without keys and with default settings.

        Raises MissingError where it does not become ready.
        """
        log = self.folder / "collector.log"
        with running_collector(
            database_url, log, tree, HEADWATER_DATA=str(self.folder), **environment
        ) as running:
            try:
                urllib3.request("GET", f"{running.url}/readyz", retries=_UNTIL_READY)
            except urllib3.exceptions.HTTPError as error:
                raise MissingError(f"the collector does not become ready: {error}") from error
            yield running


def run_command(command: list[str], environment: Mapping[str, str]) -> None:
    """Runs a command, which has to succeed. Raises UserError with the end of its output."""
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        output = finished.stdout + finished.stderr
        raise UserError(f"{Path(command[0]).name} failed:\n{output[-3000:]}")
