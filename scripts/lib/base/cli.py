"""What every command of `scripts/` shares: how it ends, and how it says what went wrong."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

import psycopg
from rich.console import Console
from rich.markup import escape

from collector import __version__
from collector.migrate import NewerSchemaError
from collector.registry import SeedError
from scripts.lib.base.settings import Settings

WIDE = 10_000  # characters, more than any table has


class UserError(Exception):
    """Something the user can mend. The text says what is wrong and what to do."""


def run(main: Callable[[], int]) -> NoReturn:
    """Runs a command and exits with its status; a UserError is printed without a traceback.

    SIGTERM unwinds like Ctrl-C does, so that an embedded PostgreSQL is stopped on the way out. What
    fails after either of them is not told: it is their doing.
    """
    told: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        told.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as of a process in the background
        signal.signal(signal.SIGINT, interrupt)
    try:
        try:
            sys.exit(main())
        except Exception:
            if told:
                sys.exit(128 + told[0])
            raise
    except (UserError, NewerSchemaError, SeedError) as error:
        sys.exit(f"error: {error}")
    except psycopg.OperationalError as error:
        sys.exit(f"error: PostgreSQL: {str(error).strip()}\nCheck DATABASE_URL and the server.")
    except psycopg.Error as error:  # what a role may not do, tables of another version
        reason = error.diag.message_primary or str(error).strip()
        sys.exit(
            f"error: PostgreSQL: {reason}\n"
            "Check the rights of the role. After an update: scripts/migrate and scripts/dbt build."
        )
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:  # a full disk, a file that is not there or not ours
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)


def read_settings() -> Settings:
    """The settings of this process. Raises UserError where a variable is malformed."""
    try:
        return Settings.from_environment()
    except ValueError as error:
        raise UserError(str(error)) from error


def say(line: str, to: TextIO | None = None) -> None:
    """Prints what was done or found at once; to the standard output, if to nowhere else."""
    print(line, file=to, flush=True)


def counted(number: int, noun: str) -> str:
    """How many of a thing, in words: `1 event`, `1,200 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class _Console(Console):
    """One that ends as other programs do where nobody reads on, as of `| head`."""

    def on_broken_pipe(self) -> NoReturn:
        with suppress(SystemExit):
            super().on_broken_pipe()
        sys.exit(141)


def open_console(*, soft_wrap: bool = False, least_width: int = 0) -> Console:
    """The standard output, for tables; COLUMNS is its width in characters.

    Without that a file or a pipe has all the width that a table needs, since nothing that is cut
    off there comes back; rich would take it for a terminal of 80. On a terminal that is narrower
    than `least_width` lines go on in the next one, where rich would leave out digits and columns.
    """
    is_free = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    console = _Console(width=WIDE if is_free else None, soft_wrap=soft_wrap)
    console.width = max(console.width, least_width)
    return console


def printable(text: str) -> str:
    """A text that came from outside, without what could steer a terminal: U+FFFD stands for it.

    Unicode's category C: control and format characters, surrogates, private and unassigned ones.
    """
    return "".join("\ufffd" if unicodedata.category(each)[0] == "C" else each for each in text)


def plain(text: str) -> str:
    """The same for rich, which takes brackets for markup."""
    return escape(printable(text))


class _Parser(argparse.ArgumentParser):
    """One that says in a line what is wrong, without the list of all arguments."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        # Without abbreviations: they would mean something else with tomorrow's options.
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def between(lowest: int, highest: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number, both ends included."""

    def number(text: str) -> int:
        with suppress(ValueError):
            if lowest <= (value := int(text)) <= highest:
                return value
        raise argparse.ArgumentTypeError(f"must be a whole number from {lowest} to {highest}")

    return number


def parser(verb: str, description: str) -> argparse.ArgumentParser:
    """An argument parser that calls the command by its script's name, and knows the version."""
    command = _Parser(
        prog=f"scripts/{verb}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--version", action="version", version=f"Headwater {__version__}")
    return command
