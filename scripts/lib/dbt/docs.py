"""The dbt docs site: `scripts/docs`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import sys
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collector.connection import open_connection
from scripts.lib.base.cli import UserError, between, parser, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.files import alone
from scripts.lib.base.settings import Settings
from scripts.lib.base.static import serve_folder
from scripts.lib.dbt.run import run_dbt
from scripts.lib.dbt.target import PROJECT, read_target, target_path

_COLUMNS = """
    select current_database(), table_schema, table_name, column_name, data_type
    from information_schema.columns
    where table_schema not in ('pg_catalog', 'information_schema')
    order by 2, 3, 4
"""

LINEAGE = "lineage.json"  # beside the docs, see `lineage.said`
_WITHOUT_TESTS = ("--exclude", "resource_type:test", "resource_type:unit_test")
# Two megabytes as they are, and four tenths of one so.
_UNPACK = """<script>
const unpack = text => new Response(
    new Blob([Uint8Array.from(atob(text), each => each.charCodeAt())])
        .stream().pipeThrough(new DecompressionStream("gzip"))
).json();
</script>"""
# Where the page takes data that are in it: what it does with the file, and so has to wait as well.
_TAKES, _WAITS = "{label:e,data:n[e]}", "n[e].then(data=>({label:e,data}))"
# What makes it ask for files that do not exist: a template's text as an address, before and after.
_FAULTS = {
    'xlink:href="{{': 'ng-attr-xlink:href="{{',
    "${require('./assets/favicons/favicon.ico')}": "data:,",
}


def made_alone(settings: Settings) -> AbstractContextManager[None]:
    """Waits until no other process makes docs, or a site, which reads them.

    dbt writes its files in place. And a site that was begun before an erasure is done before that
    makes its own.
    """
    waiting = "Waiting for another command that makes docs or a site ..."
    return alone(settings.data_directory / "docs.lock", partial(say, waiting, to=sys.stderr))


def generate(settings: Settings, database_url: str) -> Path:
    """Generates the docs, unless they are up to date, and returns their folder.

    Within `made_alone`, as what reads them.

    The folder is not dbt's usual target, where the results of the last build stay; the manifest in
    it has the compiled SQL, and LINEAGE what becomes of which property. Raises
    UserError when dbt fails.
    """
    folder = settings.data_directory / "docs"
    about = folder / "about"
    fingerprint = _fingerprint(settings, database_url)
    if (folder / LINEAGE).exists() and about.exists() and about.read_text() == fingerprint:
        return folder
    about.unlink(missing_ok=True)
    parsed = PROJECT / target_path(settings) / "partial_parse.msgpack"
    if parsed.exists() and not (folder / parsed.name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, folder / parsed.name)  # saves dbt seconds
    output: list[str] = []
    status = run_dbt(
        # Compiling the tests would take as long as all the rest, and nobody reads them there.
        ["docs", "generate", "--target-path", str(folder), *_WITHOUT_TESTS],
        settings,
        database_url,
        say=output.append,
        on_line=output.append,
    )
    if status:
        raise UserError("dbt docs generate failed:\n" + "\n".join(output[-20:]))
    # Takes half a second, which the help of four commands is spared.
    from scripts.lib.dbt.lineage import said  # noqa: PLC0415

    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / LINEAGE).write_text(json.dumps(said(manifest)))
    _write_page(folder, manifest)
    about.write_text(fingerprint)
    return folder


def _write_page(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes `static_index.html`, which opens without a server: dbt's page with the data in it.

    As `dbt docs generate --static` does, in half of the size, without the macros of dbt itself.
    """
    package = manifest["metadata"]["project_name"]
    macros = manifest["macros"].items()
    manifest["macros"] = {key: macro for key, macro in macros if macro["package_name"] == package}
    page = (folder / "index.html").read_text(encoding="utf-8")
    for fault, mended in _FAULTS.items():
        page = page.replace(fault, mended)
    page = page.replace(_TAKES, _WAITS).replace("<head>", f"<head>{_UNPACK}", 1)
    for name, data in (
        ("MANIFEST", manifest),
        ("CATALOG", json.loads((folder / "catalog.json").read_bytes())),
    ):
        packed = gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0)
        text = base64.b64encode(packed).decode()
        page = page.replace(f'"{name}.JSON INLINE DATA"', f'unpack("{text}")')
    (folder / "static_index.html").write_text(page, encoding="utf-8")


def _fingerprint(settings: Settings, database_url: str) -> str:
    """A hash of all that dbt's docs are made from: the project and the tables' columns."""
    parts = hashlib.sha256(version("dbt-core").encode())
    for path in sorted(PROJECT.rglob("*")):
        if path.suffix in {".sql", ".yml", ".md", ".csv"} and "target" not in path.parts:
            parts.update(f"{path}\n".encode() + path.read_bytes())
    with open_connection(database_url) as connection:
        columns = connection.execute(_COLUMNS).fetchall()
    parts.update(repr((settings.dbt_target, settings.dbt_schema, columns)).encode())
    return parts.hexdigest()


def main() -> int:
    """`scripts/docs`."""
    arguments = parser("docs", "Generate the dbt docs site (lineage included) and serve it.")
    arguments.add_argument(
        "--port", type=between(0, 65_535), default=8080, help="default: %(default)s"
    )
    arguments.add_argument(
        "--static",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="FILE",
        help="write one HTML file instead of serving (default: docs.html in HEADWATER_DATA)",
    )
    options = arguments.parse_args()
    settings = read_target()
    say("Generating the dbt docs ...")
    with open_databases(settings) as databases, made_alone(settings):
        folder = generate(settings, databases.destination)
        if not json.loads((folder / "catalog.json").read_bytes())["nodes"]:
            say("Nothing is built yet, so column types are missing: run scripts/dbt build.")
        if options.static is not None:
            named = options.static != Path()
            file = options.static if named else settings.data_directory / "docs.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "static_index.html", file)
            say(f"Wrote {file}: open it in a browser.")
            return 0
    serve_folder(folder, options.port, "Docs", ["127.0.0.1", *settings.allowed_hosts])
    return 0


if __name__ == "__main__":
    run(main)
