"""docs/definitions.md says what the project says.

HEADWATER_UPDATE_DEFINITIONS=1 writes it anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from collector.settings import ROOT
from scripts.lib.dbt.definitions import page
from tests.support.warehouse import MARTS

PAGE = ROOT / "docs" / "definitions.md"


def test_page_of_definitions_is_up_to_date(parsed_project: Path) -> None:
    made = page(json.loads((parsed_project / "target/manifest.json").read_text()))
    if os.environ.get("HEADWATER_UPDATE_DEFINITIONS"):
        PAGE.write_text(made)
    for mart in MARTS:
        assert f"### `{mart}`" in made
    assert PAGE.read_text() == made
