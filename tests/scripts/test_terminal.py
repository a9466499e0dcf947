"""What every command says: help at once, and one clear line where something is wrong."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from rich.table import Table

from collector.settings import ROOT
from scripts.lib.base.cli import open_console
from scripts.lib.diff.__main__ import show

COMMANDS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file())
# Run pip, or what they are given; they are sh.
SHELL = {"install", "lint", "lock", "test"}
HAND_ON = {"dbt", "mf", "psql", *SHELL}  # their arguments, to another program
HELP_SECONDS = 1  # of CPU; a machine that is busy takes longer by the clock
# What each takes to get as far as its databases.
FURTHER = {
    "bench": ["--docs"], "dbt": ["run"], "demo": [], "erase": ["--user", "1", "--yes"],
    "export": ["--to", "lake"], "export-user": ["--user", "1"], "keys": ["list"],
    "mf": ["list", "metrics"], "opt-out": ["--user", "1"], "psql": ["-c", "select 1"],
    "replay": ["--rejected"], "retain": ["--older-than", "400d", "--dry-run"],
    "spark": ["--lake", "lake", "--to", "marts"],
}  # fmt: skip
WITHOUT_DATABASE = {"bench", "screenshots", *SHELL}
PASSWORD = "s3cretpw"
ODD = 'My Data\'s "ö"'


def run(
    command: str, *arguments: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / command, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "HEADWATER_DATA": str(folder)}
        | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_at_once_whatever_the_settings(command: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run(command, "--help", folder=tmp_path, PORT="none", DATABASE_URL="none")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: scripts/{command}")
    assert after.ru_utime - before.ru_utime < HELP_SECONDS


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - HAND_ON))
def test_options_have_no_abbreviations(command: str, tmp_path: Path) -> None:
    result = run(command, "--versio", folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(rf"error: .*; see scripts/{command}( \w+)? --help\n", result.stderr)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - WITHOUT_DATABASE))
def test_mistyped_url_is_told_without_its_password(command: str, tmp_path: Path) -> None:
    url = f"postgresql//owner:{PASSWORD}@db.example/headwater"
    result = run(command, *FURTHER.get(command, []), folder=tmp_path, DATABASE_URL=url)
    assert result.returncode == 1
    assert PASSWORD not in result.stdout + result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: DATABASE_URL must be as postgresql://USER:PASSWORD@HOST"), last
    assert "Traceback" not in result.stderr


@pytest.fixture
def odd_folder() -> Iterator[Path]:
    """A folder whose name has a blank, quotes and an umlaut, where an embedded server may be."""
    parent = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    parent.chmod(0o755)
    folder = parent / ODD
    folder.mkdir()
    yield folder
    shutil.rmtree(parent)


def test_any_path_works(odd_folder: Path) -> None:
    """Also one that is too long for a socket."""
    long = odd_folder / ("x" * 100)
    for folder in (odd_folder, long):
        folder.mkdir(exist_ok=True)
        result = run("psql", "-Atc", "select count(*) from raw.events", folder=folder)
        assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr
    kept = run("keys", "create", "shop", "--scope", "write", folder=odd_folder)
    assert kept.returncode == 0, kept.stderr
    assert "shop" in run("keys", "list", folder=odd_folder).stdout


def test_disk_that_is_full_is_told_in_a_line(odd_folder: Path) -> None:
    """A limit on files is as good as a full disk, to PostgreSQL."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    result = subprocess.run(
        [ROOT / "scripts" / "psql", "-c", "select 1"],
        env={"PATH": os.environ["PATH"], "HEADWATER_DATA": str(odd_folder)},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert re.fullmatch(
        "error: the embedded PostgreSQL in .* does not start: could not write to file .*\n",
        result.stderr,
    )


def test_file_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    result = run("psql", folder=tmp_path, HEADWATER_DATA="/dev/null/data")
    assert result.returncode == 1
    assert re.fullmatch("error: /dev/null/data.*: Not a directory\n", result.stderr)


@pytest.mark.parametrize(("columns", "is_whole"), [("", True), ("40", False)])
def test_tables_are_whole_in_files(
    columns: str,
    is_whole: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nobody says how wide they are to be."""
    monkeypatch.setenv("COLUMNS", columns)
    table = Table(box=None)
    name = "conversion_funnel_daily" * 8
    table.add_row(name, "1")
    open_console().print(table)
    assert (name in capsys.readouterr().out) == is_whole
    show(f"| mart | rows |\n|---|---|\n| `{name}` | 1 |\n")
    assert f"| `{name}` |" in capsys.readouterr().out


def test_numbers_are_whole_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(box=None)
    for heading in ("attempts", "of previous", "of first"):
        table.add_column(heading, no_wrap=True)
    table.add_row("1,234,567", "100.0%", "98.7%")
    open_console(least_width=40).print(table)
    assert capsys.readouterr().out.split()[-3:] == ["1,234,567", "100.0%", "98.7%"]


def test_output_that_nobody_reads_on_ends_as_that_of_others() -> None:
    lines = """
        from scripts.lib.base.cli import open_console, run
        console = open_console()
        run(lambda: [console.print(number) for number in range(100_000)] and 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # of SIGPIPE


def test_all_commands_print_so() -> None:
    of_their_own = [
        path.name
        for path in (ROOT / "scripts").rglob("*.py")
        if re.search(r"\b_?Console\(", path.read_text())
    ]
    assert of_their_own == ["cli.py"]


def on_database(url: str, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(folder), "HEADWATER_DATA": str(folder),
        "DATABASE_URL": url, "DBT_TARGET_PATH": str(folder / "target"),
    }  # fmt: skip


def spent(pid: int) -> float:
    """The seconds of CPU of a process and all that it has started."""
    seconds = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                seconds += sum(each.cpu_times()[:4])
    return seconds


@pytest.mark.parametrize("seconds", [0.2, 1, 3])
@pytest.mark.parametrize("command", ["check", "dbt"])
def test_ctrl_c_leaves_no_traceback(
    command: str, seconds: float, database: str, tmp_path: Path
) -> None:
    """Neither while it or dbt is being imported, which takes a second, nor later.

    The seconds are of CPU: before a twentieth Python itself starts, which says what it wants.
    """
    process = subprocess.Popen(
        [ROOT / "scripts" / command, *FURTHER.get(command, [])],
        env=on_database(database, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and spent(process.pid) < seconds:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), output + errors
    assert "Traceback" not in output + errors


def test_output_that_nobody_reads_is_no_error(database: str, tmp_path: Path) -> None:
    """As where `| head` has seen enough: dbt goes on in silence."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [ROOT / "scripts" / "dbt", "debug"],
        env=on_database(database, tmp_path),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, "")
