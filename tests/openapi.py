"""Whether an OpenAPI 3.1 description holds together, as far as tools that read it rely on."""

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


def faults(description: Any) -> list[str]:
    """Return what is wrong with a description, in words."""
    found = [] if str(description.get("openapi", "")).startswith("3.1") else ["it is not OpenAPI 3.1"]
    found += [f"{ref} leads nowhere" for ref in _references(description) if not _resolves(description, ref)]
    names: list[str] = []
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            names.append(operation.get("operationId", ""))
            found += [f"{method} {path}: {fault}" for fault in _faults_of(path, method, operation)]
    found += [f"operation id {name!r} is not unique" for name in {name for name in names if names.count(name) > 1}]
    for schema in description["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    return found


def _faults_of(path: str, method: str, operation: Any) -> Iterator[str]:
    if method not in METHODS:
        yield "it is no method"
    declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
    if declared != set(re.findall(r"{(\w+)}", path)):
        yield f"its path parameters are declared as {declared}"
    if not operation["responses"]:
        yield "it has no responses"
    for status, answer in operation["responses"].items():
        if not re.fullmatch("[1-5][0-9][0-9]", status) or not answer.get("description"):
            yield f"response {status} has no description"
    for parameter in operation.get("parameters", []):
        Draft202012Validator.check_schema(parameter["schema"])


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _resolves(description: Any, reference: str) -> bool:
    place = description
    for step in reference.removeprefix("#/").split("/"):
        if step not in place:
            return False
        place = place[step]
    return True
