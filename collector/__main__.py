"""`python -m collector`: runs the collector, with settings from the environment.

`scripts/serve` does the same, and without DATABASE_URL runs an embedded PostgreSQL for it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from collector.serve import StartError, serve
from collector.settings import Settings


def main() -> NoReturn:
    """Ends like a command, with one line where it cannot run."""
    argparse.ArgumentParser(
        prog="python -m collector", description=__doc__, allow_abbrev=False
    ).parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        serve(Settings.from_environment())
    except (StartError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
