"""Events that complete the history after a restore: their notifications become `sent`, and nothing is sent."""

import json
from typing import Any

import pytest

from notification_service.delivery import DELIVERED, Disposition
from notification_service.events import read_event
from notification_service.store import NotificationStore
from tests.unit.notification.notification_app import event
from tests.unit.notification.test_delivery import EMAIL, SMS, Office


@pytest.fixture
def office() -> Office:
    return Office()


def recorded(order_id: str = "order-1") -> dict[str, Any]:
    return {**event(order_id, phone="+32"), "recordonly": True}


def test_nothing_is_sent_and_the_history_says_so(office: Office) -> None:
    assert office.receive_all(recorded()) == [DELIVERED]
    assert (office.email.sent, office.sms.sent) == ([], [])
    assert office.statuses == {EMAIL: "sent", SMS: "sent"}
    assert [office.document(key)["record_only"] for key in (EMAIL, SMS)] == [True, True]


def test_a_redelivery_changes_nothing(office: Office) -> None:
    office.receive_all(recorded())
    before = [office.document(key) for key in (EMAIL, SMS)]
    office.clock.move(120)
    assert office.receive_all(recorded(), event(phone="+32")) == [DELIVERED, DELIVERED]
    assert [office.document(key) for key in (EMAIL, SMS)] == before
    assert office.email.sent == []


def test_other_events_of_the_batch_are_sent(office: Office) -> None:
    assert office.receive_all(recorded("a"), event("b"), recorded("c")) == [DELIVERED] * 3
    assert [mail.order_id for mail in office.email.sent] == ["b"]
    marked = {d["_id"] for d in office.database.notifications.find({"record_only": True})}
    assert marked == {f"{order}.order_created:{channel}" for order in "ac" for channel in ("email", "sms")}


def test_what_was_sent_before_stays_as_it_is(office: Office) -> None:
    office.receive()
    office.receive_all(recorded())
    assert len(office.email.sent) == 1
    assert "record_only" not in office.document(EMAIL)


def test_a_notification_that_had_failed_is_not_recorded_as_sent(office: Office) -> None:
    office.email.fail()
    assert office.receive().disposition is Disposition.RETRY
    office.database.notifications.delete_one({"_id": SMS})
    assert office.receive_all(recorded()) == [DELIVERED]
    assert office.statuses == {EMAIL: "failed", SMS: "sent"}
    assert ("record_only" in office.document(EMAIL), office.document(SMS)["record_only"]) == (False, True)
    assert len(office.email.sent) == 0


def test_a_crash_before_the_last_write_leaves_what_a_redelivery_completes(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.delattr(NotificationStore, "mark_sent")
        assert office.receive_all(recorded())[0].disposition is Disposition.RETRY
    assert office.statuses == {EMAIL: "sending", SMS: "sending"}
    office.clock.move(61)
    assert office.receive_all(recorded()) == [DELIVERED]
    assert office.statuses == {EMAIL: "sent", SMS: "sent"}
    assert office.document(EMAIL)["record_only"]
    assert office.email.sent == []


@pytest.mark.parametrize("value", [None, False, "true", 1, {}])
def test_only_true_means_that_nothing_is_sent(value: Any) -> None:
    assert not read_event(json.dumps({**event(), "recordonly": value}).encode()).record_only
