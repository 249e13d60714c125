"""Find faults of a page as it is shown now: for people with disabilities, on a phone, and for search engines."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

AXE = Axe()
AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},  # 24 px (WCAG 2.2, 2.5.8), which is off by default
}
STRUCTURE = """() => {
  const found = [];
  const must = (condition, finding) => condition || found.push(finding);
  const { lang, scrollWidth } = document.documentElement;
  const meta = (name) => document.querySelector(`meta[name=${name}]`)?.content ?? "";
  must(lang, "no language");
  must(document.title, "no title");
  must(meta("description"), "no description");
  must(/width=device-width/.test(meta("viewport")), "no viewport for phones");
  must(document.querySelectorAll("h1").length === 1, "not one h1");
  must(scrollWidth <= innerWidth, `scrolls to the side: ${scrollWidth} px`);
  for (const image of document.images) {
    const has = (name) => image.hasAttribute(name);
    must(has("alt") && has("width") && has("height"), `image without text or size: ${image.src}`);
    must(!image.complete || image.naturalWidth, `image that does not show: ${image.src}`);
  }
  return found;
}"""


def findings(page: Page) -> list[str]:
    """Return everything that is wrong, each in one line."""
    found: list[str] = page.evaluate(STRUCTURE)
    violations = AXE.run(page, options=AXE_OPTIONS).response["violations"]
    return found + [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]}: {node['failureSummary']}"
        for violation in violations
        for node in violation["nodes"]
    ]
