"""Runs the examples of docs/connect.md in the tools that they are for, each in its own environment.

    DATABASE_URL=$(scripts/psql --url) .venv/bin/python -m tests.connect [TOOL ...]

The tools come from PyPI and npm and are hundreds of packages, so this is no test of CI: what it
said last stands in the page. Each answer has to have PostgreSQL's numbers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict

from collector.settings import ROOT

PAGE = (ROOT / "docs" / "connect.md").read_text()
QUESTION = """
    select step, sum(reached)::integer from marts.conversion_funnel_daily
    where segment = 'all' group by funnel, step
"""
SUPERSET = """
import os
from superset.app import create_app

with create_app().app_context():
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database

    database = Database(database_name="headwater")
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
    database.set_sqlalchemy_uri(url)
    table = SqlaTable(table_name="conversion_funnel_daily", schema="marts", database=database)
    db.session.add_all([database, table])
    db.session.flush()
    table.fetch_metadata()
    column = {"column_name": "reached"}
    chart = {
        "columns": ["funnel", "step"],
        "metrics": [{"expressionType": "SIMPLE", "column": column, "aggregate": "SUM",
                     "label": "attempts"}],
        "filter": [{"col": "segment", "op": "==", "val": "all"}],
        "extras": {}, "granularity": None, "from_dttm": None, "to_dttm": None,
        "is_timeseries": False, "row_limit": 1000, "orderby": [],
    }
    print(table.query(chart).df.to_string())
"""

# Evidence's own way from a connection and a query to rows, without the pages made of them.
EVIDENCE = """
const { getRunner, testConnection } = require('@evidence-dev/postgres');
const [options, query] = process.argv.slice(1);
(async () => {
    if (await testConnection(JSON.parse(options)) !== true) throw new Error('no connection');
    const ask = await getRunner(JSON.parse(options));
    const answer = await ask(query, 'steps.sql', 1000);
    for await (const rows of answer.rows())
        rows.forEach(row => console.log(row.step, row.attempts));
})();
"""


def example(tool: str, language: str = "python") -> str:
    """The block of code under the heading of a tool."""
    section = PAGE[PAGE.index(f"\n## {tool}\n") :]
    [block] = re.findall(rf"```{language}\n(.*?)```", section.split("\n## ")[1], re.DOTALL)
    return str(block)


def packages(tool: str) -> list[str]:
    """The packages that the page names under the heading of a tool."""
    section = PAGE[PAGE.index(f"\n## {tool}\n") :]
    [line] = re.findall(r"^Packages: ([^;\n]*)", section.split("\n## ")[1], re.MULTILINE)
    return re.findall("`(.*?)`", line)


def python(needed: list[str], *arguments: str, **environment: str) -> str:
    """What Python prints with these packages."""
    command = [ROOT / ".venv/bin/uv", "run", "--quiet", "--no-project", "--isolated"]
    command += [word for package in needed for word in ("--with", package)]
    finished = subprocess.run(
        [*map(str, command), *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return str(finished.stdout)


def pandas(folder: Path) -> str:
    """The example, as a program."""
    return python(packages("pandas"), "python", "-c", example("pandas"))


def jupyter(folder: Path) -> str:
    """The same, as a notebook that Jupyter runs."""
    cell: dict[str, object] = {"cell_type": "code", "source": example("pandas"), "outputs": []}
    cell |= {"metadata": {}, "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (folder / "steps.ipynb").write_text(json.dumps(notebook))
    convert = ("jupyter", "nbconvert", "--execute", "--to", "markdown", "--stdout")
    return python([*packages("pandas"), "jupyter"], *convert, str(folder / "steps.ipynb"))


def duckdb(folder: Path) -> str:
    """The example, as a program."""
    needed = ["duckdb==1.5.5", "duckdb-extensions", "duckdb-extension-postgres-scanner"]
    return python(needed, "python", "-c", example("DuckDB"))


def superset(folder: Path) -> str:
    """A dataset and a chart, by Superset's own code, on a metadata database of its own."""
    needed = packages("Superset")
    configuration = folder / "superset_config.py"
    configuration.write_text(
        f"SECRET_KEY = {'x' * 42!r}\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{folder}/superset.db'\n"
    )
    settings = {"SUPERSET_CONFIG_PATH": str(configuration), "FLASK_APP": "superset"}
    python(needed, "superset", "db", "upgrade", **settings)
    return python(needed, "python", "-c", SUPERSET, **settings)


def evidence(folder: Path) -> str:
    """The first question, by Evidence's connector with the options of the page."""
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*install, "@evidence-dev/postgres@1.0.10"], check=True)
    to = conninfo_to_dict(os.environ["DATABASE_URL"])
    options = yaml.safe_load(example("Evidence", "yaml"))["options"]
    options |= {"host": to["host"], "port": int(to.get("port", options["port"]))}
    options |= {"database": to["dbname"], "user": to["user"], "password": to.get("password", "")}
    [question, *_] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    command = ["node", "-e", EVIDENCE, json.dumps(options), question]
    finished = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return str(finished.stdout)


TOOLS: dict[str, Callable[[Path], str]] = {
    "pandas": pandas,
    "jupyter": jupyter,
    "duckdb": duckdb,
    "superset": superset,
    "evidence": evidence,
}


def main() -> int:
    """Runs the tools that are named, or all, and says of each whether its answer is right."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        expected = connection.execute(QUESTION).fetchall()
    failed = 0
    for name in sys.argv[1:] or TOOLS:
        with tempfile.TemporaryDirectory() as folder:
            answer = TOOLS[name](Path(folder))
        missing = [
            (step, count)
            for step, count in expected
            if not re.search(rf"\b{step}\b\W+{count}\b", answer)
        ]
        failed += bool(missing)
        print(f"{name}: {f'lacks {missing} in {answer}' if missing else 'right'}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
