"""The code stays readable in pieces: short functions, short modules."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "user-service",
    "product-service",
    "order-service",
    "notification-service",
    "chassis",
    "deploy",
    "tools",
)
FILES = [ROOT / "dev", *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))]
MAX_MODULE, MAX_FUNCTION, MAX_MEDIAN_FUNCTION = 200, 30, 8  # lines


def functions(file: Path) -> dict[str, int]:
    """Return the length in lines of each function of a file, by its name and first line."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    return {f"{node.name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in nodes}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_and_its_functions_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_MODULE
    assert {name: lines for name, lines in functions(file).items() if lines > MAX_FUNCTION} == {}


def test_half_of_all_functions_are_very_short() -> None:
    assert median(lines for file in FILES for lines in functions(file).values()) <= MAX_MEDIAN_FUNCTION
