"""The traces of an order: its event continues the request's trace, repairs begin their own and link to it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chassis import logs
from chassis.telemetry import context, tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from order_service.event_traces import publishing
from order_service.model import ALL_ORDERS
from order_service.product_client import ProductServiceUnavailable
from tests.local_server import serving
from tests.recorded_spans import FakeRecorder, recording
from tests.unit.order.order_app import ADMIN, ANA, FakeProvider, Shop, make_shop
from tests.unit.order.test_product_client import HELD, ITEMS, closing

REQUEST = TraceContext("a" * 32, "b" * 16, SAMPLED)
UNRECORDED = REQUEST._replace(flags=0)
BODY = {"product_id": "mug", "quantity": 1}


@pytest.fixture
def recorder() -> Iterator[FakeRecorder]:
    with recording() as recorder:
        yield recorder


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch)


@pytest.fixture
def shop_with_payments(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return make_shop(monkeypatch, FakeProvider())


def stored(shop: Shop, order_id: str) -> Any:
    return shop.database.orders.find_one({"_id": order_id})


def place(shop: Shop, trace: TraceContext) -> str:
    response = shop.client.post("/orders", json=BODY, headers={**ANA, **trace.headers})
    assert response.status_code == 201
    return str(response.json["id"])


def test_the_event_and_the_order_keep_the_place_of_the_request(shop: Shop, recorder: FakeRecorder) -> None:
    order = stored(shop, place(shop, REQUEST))
    request = recorder.only("POST /orders")
    assert request.parent == REQUEST
    assert request.attributes["http.response.header.location"] == f"/orders/{order['_id']}"
    assert [event["traceparent"] for event in order["outbox"]] == [request.context.traceparent]
    assert order["traceparent"] == request.context.traceparent
    assert recorder.children(request) == ["OrderStore.create"]


def test_an_unrecorded_trace_is_carried_on_by_the_event_and_not_stored_in_the_order(shop: Shop) -> None:
    with recording(ratio=0) as recorder:
        order = stored(shop, place(shop, UNRECORDED))
    assert recorder.spans == []
    assert [event["traceparent"] for event in order["outbox"]] == [UNRECORDED.traceparent]
    assert "traceparent" not in order


def test_the_state_of_the_trace_goes_into_the_event(shop: Shop) -> None:
    order = stored(shop, place(shop, UNRECORDED._replace(state="vendor=1")))
    assert order["outbox"][0]["tracestate"] == "vendor=1"


def test_a_malformed_trace_does_not_fail_an_order(shop: Shop) -> None:
    response = shop.client.post("/orders", json=BODY, headers={**ANA, "traceparent": "x" * 10_000})
    order = stored(shop, str(response.json["id"]))
    assert response.status_code == 201
    assert context.read(order["outbox"][0]) is not None


def test_a_release_by_the_worker_is_a_trace_of_its_own_linked_to_the_order(shop: Shop, recorder: FakeRecorder) -> None:
    order_id = place(shop, REQUEST)
    shop.products.away = True
    assert shop.act(order_id, "cancel").status_code == 200
    shop.products.away = False
    assert shop.worker.releaser.release_due(ALL_ORDERS) is False
    assert shop.products.released == [order_id]
    release = recorder.only("release stock")
    assert (release.parent, release.error) == (None, None)
    assert [link.traceparent for link in release.links] == [stored(shop, order_id)["traceparent"]]
    assert release.attributes == {"shop.order.id": order_id}


def test_the_release_of_an_unrecorded_order_is_not_recorded(shop: Shop) -> None:
    with recording() as recorder:
        order_id = place(shop, UNRECORDED)
        shop.products.away = True
        shop.act(order_id, "cancel")
        shop.products.away = False
        shop.worker.releaser.release_due(ALL_ORDERS)
    assert shop.products.released == [order_id]
    assert recorder.named("release stock") == []


def test_a_refund_by_the_worker_is_a_trace_of_its_own_whose_event_continues_it(
    shop_with_payments: Shop, recorder: FakeRecorder
) -> None:
    shop = shop_with_payments
    order_id = place(shop, REQUEST)
    assert shop.pay(order_id).status_code == 200
    assert shop.client.post(f"/orders/{order_id}/cancel", headers=ADMIN).status_code == 200
    shop.worker.settler.settle_due(ALL_ORDERS)
    refund = recorder.only("settle payment")
    order = stored(shop, order_id)
    assert [link.traceparent for link in refund.links] == [order["traceparent"]]
    assert order["outbox"][-1]["type"] == "order_refunded"
    assert order["outbox"][-1]["traceparent"] == refund.context.traceparent
    assert recorder.children(refund) == ["refund payment", "PaymentStore.mark_refunded"]
    assert recorder.children(recorder.only("POST /orders/{order_id}/pay"))[-1] == "OrderStore.find"


def test_an_event_is_published_below_its_request_and_its_message_continues_there(recorder: FakeRecorder) -> None:
    event = {"id": "o1.order_created", "type": "order_created", "time": "2026-01-31T12:00:00.000Z"} | REQUEST.headers
    with publishing("shop.events", [event]) as headers:
        pass
    span = recorder.only("publish shop.events:order_created")
    assert (span.kind, span.parent, span.links, span.error) == ("PRODUCER", REQUEST, [REQUEST], None)
    assert headers == [{"traceparent": span.context.traceparent}]
    assert span.attributes["messaging.message.id"] == "o1.order_created"
    assert span.attributes["shop.outbox.seconds"] > 0
    assert event["traceparent"] == REQUEST.traceparent  # the event's own place never changes


def test_an_event_that_was_not_confirmed_fails_its_span(
    recorder: FakeRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"id": "o1.order_created", "type": "order_created", "time": "2026-01-31T12:00:00.000Z"} | REQUEST.headers
    logs.configure("order-worker")
    with pytest.raises(TimeoutError), publishing("shop.events", [event]):
        raise TimeoutError("no confirm")
    assert recorder.only("publish shop.events:order_created").error == "TimeoutError"
    assert capsys.readouterr().out == ""


def test_the_line_of_a_confirmed_event_has_the_ids_of_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("order-worker")
    events = [{"id": "o1.order_created", "type": "order_created", "requestid": 'r"1'} | UNRECORDED.headers]
    events += [{"id": "o2.order_created", "type": "order_created"}]
    with publishing("shop.events", events):
        assert capsys.readouterr().out == ""
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["message"], first["logger"]) == ("event published", "order_service.event_traces")
    assert (first["event_id"], first["request_id"], first["trace_id"]) == ("o1.order_created", 'r"1', "a" * 32)
    assert (second["event_id"], second["request_id"], second["trace_id"]) == ("o2.order_created", "", "")


@pytest.mark.parametrize("headers", [{}, UNRECORDED.headers, UNRECORDED._replace(state="a=b").headers])
def test_an_unrecorded_event_is_published_without_headers_and_keeps_its_place(
    headers: dict[str, str], recorder: FakeRecorder
) -> None:
    event = {"id": "o1.order_created", "type": "order_created", "time": "2026-01-31T12:00:00.000Z"} | headers
    with publishing("shop.events", [event]) as published:
        assert published == [{}]
    assert recorder.spans == []
    assert headers.items() <= event.items()


def test_each_attempt_to_reach_product_service_is_a_span_that_the_request_carries_on(recorder: FakeRecorder) -> None:
    answers = [(503, {}), (201, HELD)]
    with serving(lambda _asked: answers.pop(0)) as server, closing(server.url) as client, context.use(REQUEST):
        client.reserve("o1", ITEMS)
    first, second = recorder.named("PUT /reservations/{order_id}")
    assert [asked.headers["traceparent"] for asked in server.requests] == [
        first.context.traceparent,
        second.context.traceparent,
    ]
    assert (first.parent, second.parent) == (REQUEST, REQUEST)
    assert (first.error, second.error) == ("503", None)
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["http.response.status_code"] == 201
    assert second.attributes["url.template"] == "/reservations/{order_id}"


def test_a_refused_connection_fails_the_span_with_the_name_of_its_error(recorder: FakeRecorder) -> None:
    is_away = pytest.raises(ProductServiceUnavailable)
    with closing("http://127.0.0.1:9", call_deadline=0.1) as client, context.use(REQUEST), is_away:
        client.reserve("o1", ITEMS)
    assert {span.error for span in recorder.named("PUT /reservations/{order_id}")} == {"NewConnectionError"}


def test_a_call_outside_of_a_trace_begins_none(recorder: FakeRecorder) -> None:
    with serving(lambda _asked: (201, HELD)) as server, closing(server.url) as client:
        client.reserve("o1", ITEMS)
    assert recorder.spans == []
    assert "traceparent" not in server.requests[0].headers


def test_no_span_has_data_of_the_order(shop: Shop, recorder: FakeRecorder) -> None:
    place(shop, REQUEST)
    shop.client.get("/orders?limit=1&cursor=secret", headers=ANA)
    recorded = json.dumps([[span.name, span.attributes] for span in recorder.spans])
    for private in ("ana", "secret", "mug", "Bearer"):
        assert private not in recorded
    assert tracing.is_recording() is False
