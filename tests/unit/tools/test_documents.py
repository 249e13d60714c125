"""The documents lead somewhere: links, anchors and named tests exist, and every setting is explained."""

import re
from pathlib import Path

import pytest

import notification_service.config
import order_service.config
import product_service.config
import user_service.config
from chassis.config import EnvironmentSettings
from deploy.config import BackupSettings, ProvisioningSettings
from tools.paths import ROOT

SERVICES = ("user-service", "product-service", "order-service", "notification-service")
READMES = [ROOT / service / "README.md" for service in SERVICES]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *READMES, *(ROOT / ".github").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])
SETTINGS: list[type[EnvironmentSettings]] = [
    user_service.config.Settings,
    product_service.config.Settings,
    order_service.config.Settings,
    order_service.config.WorkerSettings,
    notification_service.config.Settings,
    notification_service.config.ConsumerSettings,
    ProvisioningSettings,
    BackupSettings,
]
VARIABLE = re.compile(r"\$\{([A-Z_]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_tests_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    named = re.findall(r"`(?:tests/)?((?:unit|contract|integration|e2e)/test_\w+\.py)`", text)
    missing = [link for link in links if not leads_somewhere(document, link)]
    assert missing + [name for name in named if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_links_the_readme_of_each_service(service: str) -> None:
    assert f"| [{service}]({service}/README.md) |" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_every_variable_of_compose_is_documented(page: str) -> None:
    used = {name for file in ROOT.glob("*compose*.yml") for name in VARIABLE.findall(file.read_text())}
    documented = set(re.findall(r"\b[A-Z_]+\b", (ROOT / page).read_text()))
    assert used - documented == set()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: f"{settings.__module__}.{settings.__name__}")
def test_every_setting_of_a_program_is_documented(settings: type[EnvironmentSettings]) -> None:
    documented = set(re.findall(r"\b[A-Z_]+\b", (ROOT / "docs/configuration.md").read_text()))
    assert {name.upper() for name in settings.model_fields} - documented == set()


def leads_somewhere(document: Path, link: str) -> bool:
    """Return whether the file of a link exists and has the heading that the link names."""
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
