"""Writes the site: one page a subject, the assets they share and the dbt docs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import jinja2
import vl_convert

from collector import __version__
from scripts.lib.base.files import put_whole
from scripts.lib.base.settings import MAX_AGE, Settings
from scripts.lib.dbt.docs import generate, made_alone
from scripts.lib.dbt.reports import NothingBuiltError
from scripts.lib.dbt.target import PROJECT, layer_schema, target_path
from scripts.lib.site import definitions
from scripts.lib.site.artifacts import LastRun, read_last_run
from scripts.lib.site.state import State, write_state
from scripts.lib.site.warehouse import PAGES, Warehouse, read

HERE = Path(__file__).parent
MAX_PAGE_BYTES = 3_000_000
TITLES = {
    "overview": "Overview",
    "conversion": "Conversion",
    "traffic": "Traffic",
    "retention": "Retention",
    "tasks": "Tasks",
    "credit": "Credit",
    "users": "Users",
    "health": "Pipeline health",
}
FILES = {page: "index.html" if page == "overview" else f"{page}.html" for page in PAGES}


@dataclass(frozen=True, slots=True)
class Site:
    """What was written. `heavy` names pages that weigh more than MAX_PAGE_BYTES, with assets."""

    index: Path
    events: int
    is_built: bool
    heavy: list[str]


def build_site(  # noqa: PLR0913
    settings: Settings,
    database_url: str,
    folder: Path,
    *,
    days: int = 400,
    users: Sequence[str] = (),
    with_docs: bool = True,
    max_age: timedelta = MAX_AGE,
    every: int | None = None,
) -> Site:
    """Writes the site about the target in `settings`, its last `days` days, to `folder`,
    with the stories of `users` besides those of notable ones.

    Waits for a site that another process makes. Files of other names in the folder stay. Where
    nothing is built the pages say what to do. They warn of data older than `max_age`, and where
    they are not built again `every` so many seconds.
    Raises UserError when dbt cannot generate its docs.
    """
    with made_alone(settings):
        built_at = datetime.now(UTC)
        with ThreadPoolExecutor() as pool:  # dbt is a process of its own and takes longest
            docs = pool.submit(generate, settings, database_url) if with_docs else None
            library = pool.submit(_vega, settings.data_directory / "cache")
            try:
                warehouse = read(settings, database_url, days, users)
            except NothingBuiltError:
                warehouse = None
            (folder / "assets").mkdir(parents=True, exist_ok=True)
            for asset in (HERE / "assets").iterdir():
                shutil.copyfile(asset, folder / "assets" / asset.name)
            shutil.copyfile(library.result(), folder / "assets" / "vega.js")
            if docs:
                (folder / "docs").mkdir(exist_ok=True)
                shutil.copyfile(docs.result() / "static_index.html", folder / "docs" / "index.html")
        target = PROJECT / target_path(settings)
        schema = layer_schema(settings, "marts")
        builds = (
            {build.invocation_id for build in warehouse.pipeline.builds} if warehouse else set()
        )
        last_run = read_last_run(target, builds)
        render = _renderer(warehouse, last_run, built_at, schema, with_docs)
        parts = _write_parts(folder, warehouse)
        for page, file in FILES.items():
            put_whole(folder / file, render(page, parts=parts.get(page, {})).encode())
        up_to = warehouse.pipeline.data_up_to if warehouse else None
        age = int(max_age.total_seconds())
        write_state(folder, State(built_at=built_at, data_up_to=up_to, max_age=age, every=every))
        if docs:
            found = definitions.definitions(docs.result(), last_run.results if last_run else {})
            page = render("definitions", **found)
            put_whole(folder / definitions.FILE, page.encode())
        return Site(
            folder / FILES["overview"],
            warehouse.events if warehouse else 0,
            warehouse is not None,
            [page for page in PAGES if _weight(folder, page) > MAX_PAGE_BYTES],
        )


def _write_parts(folder: Path, warehouse: Warehouse | None) -> dict[str, dict[str, str]]:
    """Writes what pages load for one funnel alone, as scripts, and returns their files."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    files: dict[str, dict[str, str]] = {}
    for page, funnels in (warehouse.parts if warehouse else {}).items():
        for number, (funnel, datasets) in enumerate(funnels.items()):
            name = f"{page}-{number}.js"
            text = f"loaded({json.dumps(funnel)},{json.dumps(datasets, separators=(',', ':'))});\n"
            put_whole(data / name, text.encode())
            files.setdefault(page, {})[funnel] = f"data/{name}"
    written = {Path(file).name for parts in files.values() for file in parts.values()}
    for other in data.glob("*-*.js"):
        if other.name not in written:
            other.unlink()
    return files


def _renderer(
    warehouse: Warehouse | None,
    last_run: LastRun | None,
    built_at: datetime,
    schema: str,
    with_docs: bool,
) -> Callable[..., str]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}

    failed = last_run.failed if last_run else 0
    if not failed and warehouse and warehouse.pipeline.failed_build:
        failed = warehouse.pipeline.failed_build.failures or 0

    pages = {"definitions": definitions} if with_docs else {}
    titles = TITLES | {name: page.TITLE for name, page in pages.items()}
    files = FILES | {name: page.FILE for name, page in pages.items()}

    def render(page: str, **more: object) -> str:
        has_rows = page in pages or (warehouse is not None and warehouse.events > 0)
        template = environment.get_template(f"{page}.html" if has_rows else "empty.html")
        return template.render(
            page=page,
            titles=titles,
            files=files,
            warehouse=warehouse,
            last_run=last_run,
            failed=failed,
            built_at=built_at,
            data_up_to=warehouse.pipeline.data_up_to if warehouse else None,
            schema=schema,
            with_docs=with_docs,
            version=__version__,
            **more,
        )

    return render


def _vega(cache: Path) -> Path:
    """The chart library as one script. Putting it together takes seconds, so it is kept."""
    script = cache / f"vega-{version('vl-convert-python')}.js"
    if not script.exists():
        cache.mkdir(parents=True, exist_ok=True)
        text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        put_whole(script, text.encode())
    return script


def _weight(folder: Path, page: str) -> int:
    text = (folder / FILES[page]).read_text(encoding="utf-8")
    assets: list[str] = re.findall(r'(?:src|href)="(assets/[^"]+)"', text)
    files = [folder / FILES[page], *(folder / asset for asset in assets)]
    parts = [part.stat().st_size for part in folder.glob(f"data/{page}-*.js")]
    return sum(file.stat().st_size for file in files) + max(parts, default=0)
