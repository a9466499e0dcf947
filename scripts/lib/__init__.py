"""The Python behind `scripts/`: generator, replay, report and the like."""

import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # A command is being imported: Ctrl-C ends it without a traceback, until `base.cli.run`.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
