"""dbt as a process of its own, mended. Run, by its path, in place of the program `dbt`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path


def main() -> None:
    """Runs dbt with the arguments of this process."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of a second of imports
    from dbt.cli.main import cli  # noqa: PLC0415

    sys.path.append(str(Path(__file__).parents[3]))  # last, so that nothing of dbt's is hidden
    from scripts.lib.dbt.connections import keep_connections  # noqa: PLC0415
    from scripts.lib.dbt.lean import make_lean  # noqa: PLC0415
    from scripts.lib.dbt.mended import mend  # noqa: PLC0415
    from scripts.lib.dbt.standing import pass_over  # noqa: PLC0415

    mend()
    pass_over()
    make_lean()
    keep_connections()
    signal.signal(signal.SIGINT, handler)
    cli(prog_name="dbt")


if __name__ == "__main__":
    main()
