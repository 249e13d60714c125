"""The events of order-service fit the schemas and examples in contracts/."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from chassis.logs import bind_request_id
from chassis.telemetry import context
from order_service import events, publisher
from order_service.model import (
    Address,
    Buyer,
    HistoryEntry,
    Item,
    Line,
    Order,
    Tracking,
)
from order_service.payment.model import CAPTURED, DECLINED, REFUNDED, STARTED, UNKNOWN, Payment
from order_service.recovered_events import with_lacking_events
from order_service.told import Told

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
KINDS = events.TYPES
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(name: str) -> Any:
    return json.loads((CONTRACTS / name).read_text())


def validator(kind: str) -> Draft202012Validator:
    schemas = [json.loads(path.read_text()) for path in (CONTRACTS / "events").glob("*.schema.json")]
    registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    return Draft202012Validator(
        read(f"events/{kind}.schema.json"),
        registry=registry,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def order_like(example: dict[str, Any]) -> Order:
    """Return an example's order."""
    data = example["data"]
    lines = [Line(**{**line, "unit_price": cents(line["unit_price"])}) for line in data["lines"]]
    return Order(
        id=data["order_id"],
        status=example["type"].removeprefix("order_"),
        buyer=Buyer(data["user"]["id"], data["user"].get("email"), data["user"].get("phone")),
        items=tuple(Item(line.product_id, line.quantity) for line in lines),
        lines=tuple(lines),
        total=cents(data["total"]),
        currency=data["currency"],
        created_at=MOMENT,
        updated_at=MOMENT,
        shipping_address=Address(**data["shipping_address"]) if "shipping_address" in data else None,
        tracking=Tracking(**data["tracking"]) if "tracking" in data else None,
        payment=payment_like(example),
    )


def event_like(example: dict[str, Any]) -> dict[str, Any]:
    """Return the event that order-service makes of an example's order, as JSON."""
    order, reason = order_like(example), example["data"].get("reason")
    with bind_request_id(example.get("requestid", "")), context.use(context.read(example)):
        event = events.order_event(example["type"], order, datetime.fromisoformat(example["time"]), reason=reason)
    return json.loads(json.dumps(event))  # type: ignore[no-any-return]


def payment_like(example: dict[str, Any]) -> Payment | None:
    if not (payment := example["data"].get("payment")):
        return None
    status = REFUNDED if example["type"] == events.ORDER_REFUNDED else CAPTURED
    return Payment(status, 1, "simulated", payment["method"], cents(payment["amount"]))


def cents(amount: str) -> int:
    return int(amount.replace(".", ""))


def example_of(kind: str) -> dict[str, Any]:
    return read(f"events/{kind}.example.json")  # type: ignore[no-any-return]


def test_every_event_type_has_a_schema_and_an_example_and_no_other_has() -> None:
    examples = {path.name.removesuffix(".example.json") for path in (CONTRACTS / "events").glob("*.example.json")}
    schemas = {path.name.removesuffix(".schema.json") for path in (CONTRACTS / "events").glob("*.schema.json")}
    assert examples == set(KINDS)
    assert schemas - {"order"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_golden_example_is_what_order_service_makes(kind: str) -> None:
    assert event_like(example_of(kind)) == example_of(kind)


@pytest.mark.parametrize("detail", ["shipping_address", "payment", "tracking", "reason"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_known_of_an_order_is_left_out(kind: str, detail: str) -> None:
    example = example_of(kind)
    example["data"].pop(detail, None)
    assert event_like(example) == example


@pytest.mark.parametrize("status", [STARTED, UNKNOWN, DECLINED])
def test_a_payment_without_money_is_left_out(status: str) -> None:
    order = order_like(example_of(events.ORDER_CANCELLED))
    payment = Payment(status, 1, "simulated", "pm_card_ok", 2448)
    event = events.order_event(events.ORDER_CANCELLED, replace(order, payment=payment), MOMENT, reason="unpaid")
    assert "payment" not in event["data"]
    validator(events.ORDER_CANCELLED).validate(event)


@pytest.mark.parametrize("request_id", ["5b1f0a7c9d3e4f62", ""])
@pytest.mark.parametrize("phone", ["+3222345678", None])
@pytest.mark.parametrize("kind", KINDS)
def test_an_event_fits_its_schema(kind: str, phone: str | None, request_id: str) -> None:
    example = example_of(kind)
    example["data"]["user"]["phone"] = phone
    event = event_like(example | {"requestid": request_id})
    assert ("phone" in event["data"]["user"], "requestid" in event) == (phone is not None, request_id != "")
    validator(kind).validate(event)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_refuses_an_event_of_another_type_or_without_the_order(kind: str) -> None:
    event, other = event_like(example_of(kind)), event_like(example_of(KINDS[KINDS.index(kind) - 1]))
    for wrong in (other, {**event, "data": {}}, {**event, "specversion": "0.3"}):
        with pytest.raises(ValidationError):
            validator(kind).validate(wrong)


def test_an_event_that_is_made_anew_to_be_recorded_only_is_the_golden_example_and_fits_its_schema() -> None:
    example = read("events/record_only/order_shipped.example.json")
    shipped = (HistoryEntry("shipped", datetime.fromisoformat(example["time"]), "admin"),)
    created = {f"{order_like(example).id}.order_created:{channel}": "sent" for channel in ("email", "sms")}
    told = Told(order_like(example).id, "ada", created)
    order = with_lacking_events(replace(order_like(example), history=shipped), told, record_only=True)
    assert json.loads(json.dumps(order.outbox)) == [example]
    validator(events.ORDER_SHIPPED).validate(example)


def test_every_published_event_is_routed_to_the_queue_of_the_publisher() -> None:
    topology = read("topology.json")
    assert publisher.EXCHANGE in [exchange["name"] for exchange in topology["exchanges"]]
    assert publisher.QUEUE in [queue["name"] for queue in topology["queues"]]
    bound = {
        binding["routing_key"]
        for binding in topology["bindings"]
        if (binding["exchange"], binding["queue"]) == (publisher.EXCHANGE, publisher.QUEUE)
    }
    assert bound == set(KINDS)
