"""Opens psql on the destination database: `scripts/psql`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from scripts.lib.base.cli import run, say
from scripts.lib.base.database import libpq_environment, open_databases, postgres_binary
from scripts.lib.dbt.target import READ_LAYERS, layer_schema, read_target

USAGE = """usage: scripts/psql [PSQL ARGUMENTS]
       scripts/psql --url

Open psql on the destination database (DESTINATION_DATABASE_URL, DATABASE_URL or the embedded
PostgreSQL). A name without a schema is looked for in those of DBT_TARGET, prod or dev, marts first.
--url prints the database's URL for other programs, password included; docs/connect.md has some.
Example: scripts/psql -c 'select * from dim_users limit 5'"""
EMBEDDED = """The embedded PostgreSQL has no TCP port, only a socket for this user's programs, and
runs as long as one of the scripts: keep scripts/serve or scripts/psql open meanwhile."""


def main() -> int:
    """`scripts/psql`: every argument but --help goes to psql."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        say(USAGE)
        return 0
    settings = read_target()
    if arguments == ["--url"]:
        with open_databases(settings) as databases:
            say(databases.destination)
            if databases.embedded:
                say(EMBEDDED, to=sys.stderr)
        return 0
    program = postgres_binary("psql")
    path = ",".join(layer_schema(settings, layer) for layer in READ_LAYERS)
    with open_databases(settings) as databases:
        # Not as an argument, which everybody on the machine can see.
        environment = {**os.environ, **libpq_environment(databases.destination)}
        options = environment.get("PGOPTIONS", "")
        environment["PGOPTIONS"] = f"-c search_path={path},public {options}".rstrip()
        if not databases.embedded:
            os.execve(program, [program, *arguments], environment)  # noqa: S606
        process = subprocess.Popen([program, *arguments], env=environment)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the query, not for us
        return process.wait()


if __name__ == "__main__":
    run(main)
