"""Node.js, which some clients under test are written for."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache


@cache
def node_is_missing(*version: int) -> str:
    """Why what needs this version of Node.js and npm cannot run here; empty where it can."""
    if not shutil.which("npm") or not shutil.which("node"):
        return "no Node.js with npm"
    command = ["node", "--version"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if tuple(map(int, found.removeprefix("v").split("."))) < version:
        return f"Node.js {found} is older than {'.'.join(map(str, version))}"
    return ""
