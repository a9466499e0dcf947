"""Pictures of the insights site: `scripts/screenshots`."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scripts.lib.base.cli import UserError, parser, read_settings, run, say

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect

SIZES = {1280: 800, 390: 844}  # CSS pixels: a small laptop, a phone
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def take(site: Path, output: Path) -> None:
    """Pictures every page, whole, in every width and colour scheme, to PAGE-WIDTH-SCHEME.png.

    `screenshot.png` is the top of the first page, for README.md and docs/site.md.
    """
    # What it takes to build or open pages takes seconds to import.
    from scripts.lib.base.browser import open_browser  # noqa: PLC0415
    from scripts.lib.site.build import FILES  # noqa: PLC0415

    output.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for name, width, scheme in product(FILES, SIZES, SCHEMES):
            page = browser.new_page(
                viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme
            )
            page.goto((site / FILES[name]).as_uri())
            page.wait_for_selector("body[data-ready], .empty")
            page.screenshot(path=output / f"{name}-{width}-{scheme}.png", full_page=True)
            if (name, width, scheme) == ("overview", 1280, "light"):
                top: FloatRect = {"x": 0, "y": 0, "width": width, "height": 1300}
                page.screenshot(path=output / "screenshot.png", full_page=True, clip=top)
            page.close()
            say(f"Wrote {output}/{name}-{width}-{scheme}.png")


def main() -> int:
    """`scripts/screenshots`."""
    arguments = parser(
        "screenshots",
        "Picture the pages that scripts/site wrote, in Chromium: wide and narrow,\nlight and dark.",
    )
    arguments.add_argument(
        "--site", type=Path, metavar="DIR", help="default: site in HEADWATER_DATA"
    )
    arguments.add_argument(
        "--output", type=Path, metavar="DIR", help="default: screenshots in HEADWATER_DATA"
    )
    options = arguments.parse_args()
    from scripts.lib.site.build import FILES  # noqa: PLC0415  as in `take`

    folder = read_settings().data_directory
    site = options.site or folder / "site"
    if not (site / FILES["overview"]).exists():
        raise UserError(f"{site} has no site; run scripts/site")
    take(site.resolve(), options.output or folder / "screenshots")
    return 0


if __name__ == "__main__":
    run(main)
