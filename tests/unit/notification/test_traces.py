"""The traces of messages: below the span that has published them, linked to the request, one for each delivery."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from chassis.logs import JsonFormatter
from chassis.telemetry.context import SAMPLED, TraceContext
from notification_service.delivery import DELIVERED, DeliveryError, Disposition
from tests.deliveries import FakeDelivery
from tests.recorded_spans import FakeRecorder, recording
from tests.unit.notification.notification_app import event
from tests.unit.notification.test_delivery import Office

REQUEST = TraceContext("a" * 32, "b" * 16, SAMPLED)
PUBLISHED = TraceContext("a" * 32, "c" * 16, SAMPLED)
PROCESS = "process notifications"


@pytest.fixture
def recorder() -> Iterator[FakeRecorder]:
    with recording() as recorder:
        yield recorder


@pytest.fixture
def office() -> Office:
    return Office()


def delivery(order_id: str = "order-1", trace: TraceContext | None = PUBLISHED, **known: Any) -> FakeDelivery:
    cause = known.pop("cause", REQUEST)
    body = {**event(order_id, phone="+32"), **(cause.headers if cause else {})}
    return FakeDelivery(json.dumps(body).encode(), id=body["id"], trace=trace, **known)


def test_a_delivery_is_a_span_below_the_publishing_and_linked_to_the_request(
    office: Office, recorder: FakeRecorder
) -> None:
    assert office.handle([delivery(attempts=2)]) == [DELIVERED]
    span = recorder.only(PROCESS)
    assert (span.kind, span.parent, span.links, span.error) == ("CONSUMER", PUBLISHED, [REQUEST], None)
    assert recorder.children(span) == ["NotificationStore.add", "send email", "send sms", "NotificationStore.mark_sent"]
    assert span.attributes["messaging.rabbitmq.attempt"] == 3
    assert span.attributes["shop.disposition"] == "acknowledge"


def test_a_message_whose_headers_are_lost_continues_the_request(office: Office, recorder: FakeRecorder) -> None:
    office.handle([delivery(trace=None)])
    assert recorder.only(PROCESS).parent == REQUEST


def test_a_message_without_any_trace_begins_one(office: Office, recorder: FakeRecorder) -> None:
    assert office.handle([delivery(trace=None, cause=None)]) == [DELIVERED]
    assert (recorder.only(PROCESS).parent, recorder.only(PROCESS).links) == (None, [])


def test_an_unrecorded_message_is_handled_without_spans(office: Office, recorder: FakeRecorder) -> None:
    unrecorded = PUBLISHED._replace(flags=0)
    assert office.handle([delivery(trace=unrecorded, cause=unrecorded)]) == [DELIVERED]
    assert recorder.spans == []


def test_the_shared_calls_of_a_batch_are_below_its_first_recorded_message_and_the_others_link_to_it(
    office: Office, recorder: FakeRecorder
) -> None:
    unrecorded = PUBLISHED._replace(flags=0)
    office.handle([delivery("order-0", trace=unrecorded), delivery("order-1"), delivery("order-2")])
    first, second = recorder.named(PROCESS)
    assert recorder.children(first) == [
        "NotificationStore.add",
        "send email",
        "send sms",
        "NotificationStore.mark_sent",
    ]
    assert recorder.children(second) == ["send email", "send sms"]
    assert second.links == [REQUEST, first.context]
    assert {span.attributes["messaging.batch.message_count"] for span in (first, second)} == {3}


def test_a_second_delivery_is_a_second_span_of_the_same_trace(office: Office, recorder: FakeRecorder) -> None:
    office.handle([delivery()])
    office.handle([delivery()])
    first, second = recorder.named(PROCESS)
    assert (first.context.trace_id, first.parent) == (second.context.trace_id, second.parent)
    assert "send email" not in recorder.children(second)  # it was sent before


def test_a_channel_that_fails_fails_its_span_without_the_text(office: Office, recorder: FakeRecorder) -> None:
    office.email.failures.append(DeliveryError("ana@example.com is away"))
    [outcome] = office.handle([delivery()])
    assert outcome.disposition is Disposition.RETRY
    assert recorder.only("send email").error == "DeliveryError"
    assert recorder.only("send sms").error is None
    assert (recorder.only(PROCESS).error, recorder.only(PROCESS).attributes["shop.disposition"]) == ("retry", "retry")


@pytest.mark.parametrize("body", [b"no json", b"{}", b"[]"])
def test_a_message_that_cannot_be_read_has_a_failed_span(body: bytes, office: Office, recorder: FakeRecorder) -> None:
    office.handle([FakeDelivery(body, trace=PUBLISHED), delivery()])
    unreadable, readable = recorder.named(PROCESS)
    assert (unreadable.error, unreadable.parent, unreadable.links) == ("dead_letter", PUBLISHED, [])
    assert readable.error is None


def test_a_composition_that_fails_ends_its_span(recorder: FakeRecorder) -> None:
    def compose(_event: object) -> Any:
        raise RuntimeError("a mistake")

    [outcome] = Office().handler(compose=compose)([delivery()])
    assert outcome.disposition is Disposition.RETRY
    assert recorder.only(PROCESS).error == "retry"


def test_the_log_lines_of_a_notification_have_the_trace_of_its_request(office: Office) -> None:
    lines: list[str] = []
    record = logging.makeLogRecord({"msg": "sent"})
    office.email.listen = lambda: lines.append(JsonFormatter("s").format(record))
    office.handle([delivery(trace=None, cause=REQUEST._replace(flags=0))])
    assert json.loads(lines[0])["trace_id"] == REQUEST.trace_id
