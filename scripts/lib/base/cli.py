"""What every command of `scripts/` shares: how it ends, and how it says what went wrong."""

from __future__ import annotations

import argparse
import signal
import sys
import unicodedata
from collections.abc import Callable
from typing import NoReturn

import psycopg
from rich.markup import escape

from collector import __version__
from collector.migrate import NewerSchemaError
from scripts.lib.base.settings import Settings


class UserError(Exception):
    """Something the user can mend. The text says what is wrong and what to do."""


def run(main: Callable[[], int]) -> NoReturn:
    """Runs a command and exits with its status; a UserError is printed without a traceback.

    SIGTERM unwinds like Ctrl-C does, so that an embedded PostgreSQL is stopped on the way out.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except (UserError, NewerSchemaError) as error:
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
    except KeyboardInterrupt:
        sys.exit(130)


def read_settings() -> Settings:
    """The settings of this process. Raises UserError where a variable is malformed."""
    try:
        return Settings.from_environment()
    except ValueError as error:
        raise UserError(str(error)) from error


def printable(text: str) -> str:
    """A text that came from outside, without what could steer a terminal: U+FFFD stands for it.

    Unicode's category C: control and format characters, surrogates, private and unassigned ones.
    """
    return "".join("\ufffd" if unicodedata.category(each)[0] == "C" else each for each in text)


def plain(text: str) -> str:
    """The same for rich, which takes brackets for markup."""
    return escape(printable(text))


def parser(verb: str, description: str) -> argparse.ArgumentParser:
    """An argument parser that calls the command by its script's name, and knows the version."""
    command = argparse.ArgumentParser(
        prog=f"scripts/{verb}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--version", action="version", version=f"Headwater {__version__}")
    return command
