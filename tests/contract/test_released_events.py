"""A released schema only grows: whoever reads or publishes events of the last release understands those of today.

`contracts/README.md` says how to release a version.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from order_service.events import SCHEMA_VERSION, TYPES
from tools.paths import ROOT

EVENTS = ROOT / "contracts" / "events"
GROWING = ("properties", "$defs")  # keywords whose members may become more
ANNOTATIONS = {"title", "description", "$comment", "examples"}  # keywords that validate nothing


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


RELEASES = sorted((folder.name for folder in (EVENTS / "released").iterdir()), key=version)
RELEASED = EVENTS / "released" / RELEASES[-1]


def schemas(folder: Path) -> dict[str, Any]:
    """Return the schemas in a folder, by their files' names."""
    return {path.name: json.loads(path.read_text(), object_hook=_ordered) for path in folder.glob("*.schema.json")}


def _ordered(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a schema with the names of required properties in alphabetical order."""
    required = part.get("required")
    return part | {"required": sorted(required)} if isinstance(required, list) else part


def changes(released: Any, current: Any, place: str) -> Iterator[str]:
    """Yield every place where a schema does more than grow.

    An object may get new properties, which are optional: events of the release that still wait do not have them.
    Everything else that validates stays as it is.
    """
    if not (isinstance(released, dict) and isinstance(current, dict)):
        yield from [place] if released != current else []
        return
    for keyword in sorted((released.keys() | current.keys()) - ANNOTATIONS):
        before, now = released.get(keyword), current.get(keyword)
        if keyword not in GROWING:
            yield from changes(before, now, f"{place}/{keyword}")
            continue
        for name, schema in (before or {}).items():
            yield from changes(schema, (now or {}).get(name), f"{place}/{keyword}/{name}")


def all_changes(current: dict[str, Any]) -> list[str]:
    return [
        change
        for name, released in sorted(schemas(RELEASED).items())
        for change in changes(released, current.get(name), name.partition(".")[0])
    ]


def test_every_schema_of_the_last_release_has_only_grown() -> None:
    assert all_changes(schemas(EVENTS)) == []


@pytest.mark.parametrize("kind", [kind for kind in TYPES if (RELEASED / f"{kind}.schema.json").exists()])
def test_an_event_of_today_fits_the_schema_of_the_last_release(kind: str) -> None:
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in schemas(RELEASED).values()]
    registry: Registry[Any] = Registry().with_resources(resources)
    example = json.loads((EVENTS / f"{kind}.example.json").read_text())
    Draft202012Validator(schemas(RELEASED)[f"{kind}.schema.json"], registry=registry).validate(example)


def test_the_last_release_has_the_types_that_it_had() -> None:
    assert {name.partition(".")[0] for name in schemas(RELEASED)} - {"order"} <= set(TYPES)


def test_schemas_that_have_grown_have_a_newer_version_and_released_ones_theirs() -> None:
    is_released = schemas(EVENTS) == schemas(RELEASED)
    assert (version(SCHEMA_VERSION) == version(RELEASES[-1])) == is_released
    assert version(SCHEMA_VERSION) >= version(RELEASES[-1])
    assert version(SCHEMA_VERSION)[0] == version(RELEASES[-1])[0]


@pytest.mark.parametrize("kind", TYPES)
def test_every_example_names_the_version_of_its_schema(kind: str) -> None:
    example = json.loads((EVENTS / f"{kind}.example.json").read_text())
    assert example["dataschema"] == f"urn:shop:events:{kind}:{SCHEMA_VERSION}"


# What the comparison notices

DATA = ("$defs", "order")
USER = ("$defs", "user")


def changed(path: tuple[str, ...], value: Any, name: str = "order.schema.json") -> dict[str, Any]:
    """Return the current schemas with another value at a path; without the last part of the path for None."""
    current = copy.deepcopy(schemas(EVENTS))
    parent = current[name]
    for part in path[:-1]:
        parent = parent[part]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return current


@pytest.mark.parametrize(
    ("path", "value", "noticed"),
    [
        ((*DATA, "properties", "total"), None, "order/$defs/order/properties/total"),
        ((*DATA, "properties"), None, None),
        ((*DATA, "required"), ["order_id", "user", "lines", "total"], "order/$defs/order/required"),
        ((*DATA, "required"), None, "order/$defs/order/required"),
        ((*USER, "required"), ["id", "email", "phone"], "order/$defs/user/required"),
        ((*USER, "properties", "email", "type"), ["string", "null"], "order/$defs/user/properties/email/type"),
        ((*USER, "properties", "email", "minLength"), 1, "order/$defs/user/properties/email/minLength"),
        ((*USER, "properties", "email", "maxLength"), 99, "order/$defs/user/properties/email/maxLength"),
        ((*USER, "additionalProperties"), False, "order/$defs/user/additionalProperties"),
        (("$defs", "money", "pattern"), "^[0-9]+$", "order/$defs/money/pattern"),
        (("$defs", "money", "pattern"), None, "order/$defs/money/pattern"),
        (("$defs", "line"), None, "order/$defs/line"),
        ((*DATA, "properties", "lines", "items"), {}, "order/$defs/order/properties/lines/items/$ref"),
        ((*DATA, "properties", "user", "$ref"), "#/$defs/line", "order/$defs/order/properties/user/$ref"),
        (("properties", "specversion", "const"), "2.0", "order/properties/specversion/const"),
        (("properties", "time", "format"), None, "order/properties/time/format"),
        (("oneOf",), [{"required": ["data"]}], "order/oneOf"),
    ],
)
def test_a_property_that_is_removed_changed_or_made_optional_is_noticed(
    path: tuple[str, ...], value: Any, noticed: str | None
) -> None:
    found = all_changes(changed(path, value))
    assert found == [noticed] if noticed else len(found) == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*DATA, "properties", "gift"), {"type": "boolean"}),
        (("$defs", "voucher"), {"type": "string"}),
        (("properties", "traceparent"), {"type": "string"}),
        ((*USER, "description"), "Another text"),
        (("description",), None),
    ],
)
def test_additions_and_other_descriptions_are_growth(path: tuple[str, ...], value: Any) -> None:
    assert all_changes(changed(path, value)) == []


def test_the_schema_of_a_type_that_is_removed_or_changed_is_noticed() -> None:
    current = schemas(EVENTS)
    del current["order_shipped.schema.json"]
    assert all_changes(current) == ["order_shipped"]
    const = changed(("properties", "type", "const"), "order_sent", "order_shipped.schema.json")
    assert all_changes(const) == ["order_shipped/properties/type/const"]
