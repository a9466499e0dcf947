"""The prototype's stack as a peer: Express and Prisma, and its etl.ts, from a folder given."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from scripts.lib.bench.measure import MissingError
from scripts.lib.bench.server import Server, execute, node_url

PORT = 4187
USERS = 20_000
_UNTIL_UP = urllib3.Retry(20, backoff_factor=0.05)
TABLES = '"Conversion", "TaskCompletion", "CreditProfile"'


@dataclass(slots=True)
class Peer:
    """The stack in `source`, copied to `folder` and installed there when it is first needed."""

    source: Path
    folder: Path
    server: Server
    events: int = -1  # in its database

    @property
    def source_url(self) -> str:
        """Its database of events and users."""
        return self.server.database("peer_source")

    @property
    def destination_url(self) -> str:
        """Its database of results."""
        return self.server.database("peer_dest")

    def prepare(self, events: int) -> None:
        """Installs it as its README says and fills its database with users and events.

        Raises MissingError where it is not there or npm fails.
        """
        if not (self.source / "package.json").is_file():
            raise MissingError(
                f"the prototype's stack is not in {self.source}; name its folder with --peer"
            )
        if not shutil.which("npm"):
            raise MissingError("npm is not installed; the peer needs Node.js 20.19 or newer")
        if not self.folder.exists():
            ignored = shutil.ignore_patterns("node_modules", "dist", ".env")
            shutil.copytree(self.source, self.folder, ignore=ignored)
            for path in [self.folder, *self.folder.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)
            self._npm("install", "--no-audit", "--no-fund")
            self._npm("run", "build")
        if self.events != events:
            self._npm("run", "db:setup")
            self._npm("run", "seed", "--", str(USERS), str(events))
            self.events = events

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its HTTP server, in production mode, as one process; yields the URL."""
        url = f"http://127.0.0.1:{PORT}"
        with (
            (self.folder / "server.log").open("wb") as log,
            subprocess.Popen(
                ["node", "dist/src/server.js"],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                urllib3.request("GET", f"{url}/nothing", retries=_UNTIL_UP)
                yield url
            except urllib3.exceptions.HTTPError as error:
                raise MissingError(f"the peer does not answer on port {PORT}: {error}") from error
            finally:
                process.kill()

    def etl(self) -> float:
        """Runs etl.ts in batches into empty tables; seconds of the process, start included."""
        execute(self.destination_url, f"truncate {TABLES}")
        started = time.monotonic()
        self._run("node", "dist/scripts/etl.js", "--batch")
        return time.monotonic() - started

    def _npm(self, *arguments: str) -> None:
        self._run("npm", *arguments)

    def _run(self, *command: str) -> None:
        finished = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            tail = (finished.stderr or finished.stdout).strip()[-600:]
            raise MissingError(f"the peer: {' '.join(command)} failed: {tail}")

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NODE_ENV": "production",
            "NPM_CONFIG_INCLUDE": "dev",  # TypeScript, which production would leave out
            "PORT": str(PORT),
            "SOURCE_DATABASE_URL": node_url(self.source_url),
            "DEST_DATABASE_URL": node_url(self.destination_url),
        }
