"""The golden examples fit their schemas, and the consumer makes notifications of each."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from notification_service.events import read_event
from notification_service.wording import WORDINGS
from tests.unit.notification.notification_app import COMPOSER
from tools.paths import ROOT

EVENTS = ROOT / "contracts" / "events"
TYPES = sorted(path.name.partition(".")[0] for path in EVENTS.glob("*.example.json"))


def read(name: str) -> Any:
    return json.loads((EVENTS / name).read_text())


def validator(kind: str) -> Draft202012Validator:
    schemas = [Resource.from_contents(json.loads(path.read_text())) for path in EVENTS.glob("*.schema.json")]
    registry: Registry[Any] = Registry().with_resources((s.contents["$id"], s) for s in schemas)
    return Draft202012Validator(read(f"{kind}.schema.json"), registry=registry)


def test_schemas_examples_texts_and_bindings_know_the_same_types() -> None:
    bindings = json.loads((ROOT / "contracts" / "topology.json").read_text())["bindings"]
    bound = sorted(b["routing_key"] for b in bindings if b["queue"] == "notifications")
    schemas = sorted(path.name.partition(".")[0] for path in EVENTS.glob("*_*.schema.json"))
    assert TYPES == schemas == sorted(WORDINGS) == bound


@pytest.mark.parametrize("kind", ["order", *TYPES])
def test_schemas_are_valid(kind: str) -> None:
    Draft202012Validator.check_schema(read(f"{kind}.schema.json"))


@pytest.mark.parametrize("kind", TYPES)
def test_the_golden_example_fits_its_schema_and_no_other(kind: str) -> None:
    fitting = [other for other in TYPES if validator(other).is_valid(read(f"{kind}.example.json"))]
    assert fitting == [kind]


@pytest.mark.parametrize("kind", TYPES)
def test_fields_that_a_schema_does_not_know_are_allowed(kind: str) -> None:
    example = read(f"{kind}.example.json")
    for part in (example, example["data"], example["data"]["user"], example["data"]["lines"][0]):
        part["addedlater"] = {"some": "thing"}
    assert validator(kind).is_valid(example)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("specversion",), "0.3"),
        (("id",), "another"),
        (("source",), "/elsewhere"),
        (("time",), "2026-01-31 12:00"),
        (("requestid",), "two words"),
        (("data", "total"), 24.48),
        (("data", "total"), "24.5"),
        (("data", "lines"), []),
        (("data", "lines", 0, "quantity"), 0),
        (("data", "lines", 0, "unit_price"), "-1.00"),
        (("data", "user", "email"), None),
        (("data", "currency"), "euro"),
        (("dataschema",), "urn:shop:events:order_created:2.0"),
        (("data", "shipping_address", "country"), "Belgium"),
        (("data", "shipping_address", "line1"), ""),
        (("data", "payment"), {"method": "pm_card_ok", "amount": 24.48}),
        (("data", "payment"), {"amount": "24.48"}),
        (("data", "tracking"), {}),
        (("data", "tracking"), {"url": "javascript:alert(1)"}),
        (("data", "reason"), "bored"),
    ],
)
@pytest.mark.parametrize("kind", TYPES)
def test_what_breaks_the_contract_is_noticed(kind: str, path: tuple[Any, ...], value: Any) -> None:
    example = part = read(f"{kind}.example.json")
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    assert not validator(kind).is_valid(example)


@pytest.mark.parametrize("kind", TYPES)
def test_every_required_field_is_required(kind: str) -> None:
    for name in (*read("order.schema.json")["required"], "data.user", "data.user.email", "data.lines", "data.total"):
        example = part = read(f"{kind}.example.json")
        *parents, last = name.split(".")
        for parent in parents:
            part = part[parent]
        del part[last]
        assert not validator(kind).is_valid(example), name


@pytest.mark.parametrize("kind", ["order_paid", "order_refunded"])
def test_an_event_about_money_has_its_amount(kind: str) -> None:
    example = read(f"{kind}.example.json")
    del example["data"]["payment"]
    assert not validator(kind).is_valid(example)


@pytest.mark.parametrize("kind", TYPES)
def test_the_consumer_makes_notifications_of_the_golden_example(kind: str) -> None:
    example = read(f"{kind}.example.json")
    event = read_event(json.dumps(example).encode())
    notifications = COMPOSER.notifications_of(event)
    user = example["data"]["user"]
    assert [(n.id, n.recipient) for n in notifications] == [
        (f"{example['id']}:{channel}", user[name])
        for channel, name in (("email", "email"), ("sms", "phone"))
        if name in user
    ]
    assert event.request_id == example.get("requestid")
    assert all(example["data"]["order_id"] in n.subject and n.user_id == user["id"] for n in notifications)
    assert "2 x Coffee mug, 9.99 EUR each: 19.98 EUR" in notifications[0].body
    assert "Total: 24.48 EUR" in notifications[0].body


def test_an_event_that_is_recorded_only_makes_notifications_that_are_not_sent() -> None:
    example = read("record_only/order_shipped.example.json")
    notifications = COMPOSER.notifications_of(read_event(json.dumps(example).encode()))
    assert [(n.channel, n.record_only) for n in notifications] == [("email", True), ("sms", True)]
    assert validator("order_shipped").is_valid(example)
    assert not validator("order_shipped").is_valid({**example, "recordonly": "yes"})
