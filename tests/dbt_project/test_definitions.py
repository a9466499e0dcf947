"""docs/definitions.md says what the project says.

HEADWATER_UPDATE_DEFINITIONS=1 writes it anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from collector.settings import ROOT
from scripts.lib.dbt.definitions import page
from tests.support.warehouse import MARTS, Warehouse

PAGE = ROOT / "docs" / "definitions.md"


def test_page_of_definitions_is_up_to_date(parsed_project: Path) -> None:
    made = page(json.loads((parsed_project / "target/manifest.json").read_text()))
    if os.environ.get("HEADWATER_UPDATE_DEFINITIONS"):
        PAGE.write_text(made)
    for mart in MARTS:
        assert f"### `{mart}`" in made
    assert PAGE.read_text() == made


def test_neither_page_nor_report_knows_a_definition() -> None:
    """No name of a seed stands in their code: what they do, they do to all names alike."""
    code = "".join(
        path.read_text()
        for path in [ROOT / "scripts/lib/report.py", *(ROOT / "scripts/lib/site").rglob("*")]
        if path.suffix in (".js", ".py", ".html")
    )
    project = Warehouse("", ROOT / "dbt_project")
    names = {row["band"] for row in project.seed("score_bands")} - {"good"}  # the tile's own id
    names |= {row["funnel"] for row in project.seed("funnels")}
    names |= {row["step"] for row in project.seed("funnels")} - {"converted"}
    names |= {row["event_type"] for row in project.seed("event_types")} - {"conversion"}
    names |= {row["segment"] for row in project.seed("segments")}
    assert [name for name in sorted(names) if re.search(rf"['\"`]{name}['\"`]", code)] == []
    assert not re.search(
        r"percentile_cont\(|\bsum\(|\bcount\(", (ROOT / "scripts/lib/report.py").read_text()
    )
