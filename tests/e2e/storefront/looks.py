"""How the page looks: light and dark, on a desk and on a phone. The pictures are kept in .dev/pictures."""

from collections.abc import Iterator
from typing import Literal

from playwright.sync_api import Page

from tools.paths import STATE

PICTURES = STATE / "pictures"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = ((1280, 900), (360, 740))  # px; a narrow phone, as many have it


def looks(page: Page, name: str) -> Iterator[str]:
    """Show a page in each look, and take a picture of it; yield the look's name."""
    for scheme in SCHEMES:
        for width, height in SIZES:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            picture(page, f"{name}.{scheme}.{width}")
            yield f"{scheme}, {width} px"


def picture(page: Page, name: str) -> None:
    """Save the whole page as a picture."""
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
