"""From an event to its notifications: each is sent once per channel, and the channels fail separately."""

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mongomock
import pytest
from jinja2 import UndefinedError
from pymongo.errors import BulkWriteError

from chassis import logs
from chassis.errors import Unavailable
from notification_service.delivery import (
    DELIVERED,
    DeliveryError,
    Disposition,
    Outcome,
    PermanentDeliveryError,
    combine,
)
from notification_service.events import read_event
from notification_service.handling import Compose, handle_messages
from notification_service.model import Event, Notification
from notification_service.notifier import Notifier
from notification_service.retrying import RetryWhileUnavailable
from notification_service.store import NotificationStore
from tests.deliveries import FakeDelivery
from tests.unit.notification.notification_app import COMPOSER, FakeChannel, FakeClock, event, make_database, make_store
from tests.waiting import until

EMAIL, SMS = "order-1.order_created:email", "order-1.order_created:sms"


class Office:
    """The notifier and its collaborators."""

    def __init__(
        self, wrap: Callable[[NotificationStore], Any] = lambda store: store, *, side_by_side: int = 0
    ) -> None:
        self.clock = FakeClock()
        self.database = make_database()
        self.store = make_store(self.database, self.clock)
        self.email, self.sms = FakeChannel(side_by_side), FakeChannel()
        self.stop = threading.Event()
        self._wrapped = wrap(self.store)
        self.handle = self.handler()

    def handler(
        self, start_within: float = 30.0, compose: Compose = COMPOSER.notifications_of
    ) -> Callable[[list[bytes]], list[Outcome]]:
        retry, channels = RetryWhileUnavailable(self.stop, max_delay=0.01), {"email": self.email, "sms": self.sms}
        notifier = Notifier(self._wrapped, channels, retry, self.clock, start_within=start_within)
        return partial(handle_messages, compose, notifier)

    def receive(self, **user: Any) -> Outcome:
        return self.receive_all(event(phone="+32", **user))[0]

    def receive_all(self, *messages: dict[str, Any] | bytes) -> list[Outcome]:
        return self.handle([FakeDelivery(m if isinstance(m, bytes) else json.dumps(m).encode()) for m in messages])

    def document(self, notification_id: str) -> Any:
        return self.database.notifications.find_one({"_id": notification_id})

    @property
    def statuses(self) -> dict[str, str]:
        return {d["_id"]: d["status"] for d in self.database.notifications.find()}


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_new_event_is_sent_on_both_channels(office: Office) -> None:
    assert office.receive() == DELIVERED
    assert office.statuses == {EMAIL: "sent", SMS: "sent"}
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


def test_the_document_has_what_the_history_shows(office: Office) -> None:
    office.receive()
    assert office.document(EMAIL) == {
        "_id": EMAIL,
        "event_id": "order-1.order_created",
        "event_type": "order_created",
        "order_id": "order-1",
        "user_id": "user-1",
        "channel": "email",
        "recipient": "ana@example.com",
        "subject": "Your order order-1 is confirmed",
        "body": "Hello,\n\nThank you, we have received your order order-1.\n\nExample Shop\n",
        "status": "sent",
        "attempts": 1,
        "error": None,
        "created_at": office.clock.now,
    }


def test_a_redelivered_event_sends_nothing_again(office: Office) -> None:
    assert [office.receive() for _ in range(3)] == [DELIVERED] * 3
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


def test_a_failing_email_does_not_stop_the_sms_and_is_what_a_retry_sends(office: Office) -> None:
    office.email.fail()
    assert office.receive() == Outcome(Disposition.RETRY, "email: no luck")
    assert office.statuses == {EMAIL: "failed", SMS: "sent"}
    assert office.document(EMAIL)["error"] == "email: no luck"
    assert office.receive() == DELIVERED
    assert office.document(EMAIL)["error"] is None
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


def test_a_permanent_error_is_a_dead_letter_unless_another_channel_may_still_succeed(office: Office) -> None:
    office.email.fail(PermanentDeliveryError("no such user"), PermanentDeliveryError("no such user"))
    office.sms.fail()
    assert office.receive().disposition is Disposition.RETRY
    assert office.receive() == Outcome(Disposition.DEAD_LETTER, "email: no such user")
    assert office.statuses == {EMAIL: "failed", SMS: "sent"}


def test_an_unexpected_error_is_retried_and_its_text_not_logged(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.email.fail(ValueError("cannot reach ana@example.com"))
    assert office.receive() == Outcome(Disposition.RETRY, "email: unexpected ValueError")
    assert office.statuses[SMS] == "sent"
    logged = "".join(logs.JsonFormatter("n").format(record) for record in caplog.records)
    assert "notification not sent: unexpected error" in logged
    assert "ana@example.com" not in logged


def test_a_notification_that_another_consumer_is_sending_is_deferred_until_the_lease_ends(office: Office) -> None:
    office.sms.fail()
    office.receive()
    assert office.store.claim(SMS, "another")
    assert office.receive() == Outcome(Disposition.DEFER, "sms: another consumer is sending it")
    office.clock.move(59.9)
    assert office.receive().disposition is Disposition.DEFER
    office.clock.move(0.2)
    assert office.receive() == DELIVERED
    assert len(office.sms.sent) == 1


def test_a_new_notification_is_inserted_with_a_claim_and_nobody_else_can_claim_it(office: Office) -> None:
    notifications = COMPOSER.notifications_of(read_event(json.dumps(event(phone="+32")).encode()))
    assert office.store.add(notifications, "mine") == set()
    assert office.statuses == {EMAIL: "sending", SMS: "sending"}
    assert office.store.add(notifications, "another") == {EMAIL, SMS}
    assert not office.store.claim(EMAIL, "another")
    assert office.store.claim(EMAIL, "mine")
    assert office.document(EMAIL)["attempts"] == 1


def test_a_claim_whose_reply_was_lost_is_recognized_when_it_is_repeated(office: Office) -> None:
    office.sms.fail()
    office.receive()
    assert office.store.claim(SMS, "mine")
    assert office.store.claim(SMS, "mine")
    assert not office.store.claim(SMS, "another")
    assert office.document(SMS)["attempts"] == 2


def test_a_consumer_that_lost_its_claim_cannot_mark_a_failure_but_can_mark_a_success(office: Office) -> None:
    office.sms.fail()
    office.receive()
    office.store.claim(SMS, "slow")
    office.clock.move(61)
    office.store.claim(SMS, "quick")
    office.store.mark_failed(SMS, "slow", "timed out")
    assert office.statuses[SMS] == "sending"
    office.store.mark_sent([SMS])
    office.store.mark_failed(SMS, "quick", "timed out")
    assert office.statuses[SMS] == "sent"


def composed(*messages: dict[str, Any]) -> list[Notification]:
    return [n for message in messages for n in COMPOSER.notifications_of(read_event(json.dumps(message).encode()))]


def test_each_message_of_a_batch_has_its_own_outcome(office: Office) -> None:
    kinds = ("new", "sent", "failed", "abandoned", "claimed", "refused")
    new, sent, failed, abandoned, claimed, refused = (event(kind) for kind in kinds)
    office.email.fail()
    office.receive_all(failed, sent)
    office.store.add(composed(abandoned), "somebody who died")
    office.clock.move(61)
    office.store.add(composed(claimed), "somebody else")
    office.email.sent.clear()
    office.email.failures = [DeliveryError("no luck")]
    outcomes = office.receive_all(refused, b"poison", sent, new, claimed, failed, abandoned)
    assert outcomes == [
        Outcome(Disposition.RETRY, "email: no luck"),
        Outcome(Disposition.DEAD_LETTER, "the body is not JSON"),
        DELIVERED,
        DELIVERED,
        Outcome(Disposition.DEFER, "email: another consumer is sending it"),
        DELIVERED,
        DELIVERED,
    ]
    assert [n.order_id for n in office.email.sent] == ["new", "failed", "abandoned"]
    assert {i.partition(".")[0]: status for i, status in office.statuses.items()} == {
        **dict.fromkeys(("new", "sent", "failed", "abandoned"), "sent"),
        "claimed": "sending",
        "refused": "failed",
    }


def test_an_event_that_is_twice_in_a_batch_is_sent_once_and_gives_both_messages_one_outcome(office: Office) -> None:
    assert office.receive_all(event(), event("order-2"), event()) == [DELIVERED] * 3
    assert [n.order_id for n in office.email.sent] == ["order-1", "order-2"]
    office.email.fail()
    outcomes = office.receive_all(event("order-3"), event("order-3"))
    assert [outcome.disposition for outcome in outcomes] == [Disposition.RETRY] * 2


def test_of_two_events_with_one_id_the_first_is_sent_on_each_channel(office: Office) -> None:
    other = event(email="ben@example.com", phone="+32")
    assert office.receive_all(event(), other) == [DELIVERED] * 2
    assert office.receive_all(event(email="eve@example.com")) == [DELIVERED]
    assert [n.recipient for n in office.email.sent] == ["ana@example.com"]
    assert [n.recipient for n in office.sms.sent] == ["+32"]


def test_a_notification_that_cannot_be_stored_fails_no_other(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.receive_all(event("existing"))
    real = mongomock.Collection.insert_many

    def insert_many(collection: Any, documents: list[Any], *, ordered: bool) -> None:
        errors = []
        for index, document in enumerate(documents):
            try:
                if document["order_id"] == "odd":
                    raise BulkWriteError({"writeErrors": [{"code": 121}]})
                real(collection, [document], ordered=ordered)
            except BulkWriteError as exc:
                errors.append({"index": index, "code": exc.details["writeErrors"][0]["code"]})  # type: ignore[index]
        if errors:
            raise BulkWriteError({"writeErrors": errors})

    monkeypatch.setattr(mongomock.Collection, "insert_many", insert_many)
    outcomes = office.receive_all(event("new"), event("odd"), event("existing"))
    assert outcomes == [DELIVERED, Outcome(Disposition.RETRY, "email: unexpected BulkWriteError"), DELIVERED]
    assert [n.order_id for n in office.email.sent] == ["existing", "new"]
    assert sorted(office.statuses.values()) == ["sent"] * 2


def test_a_notification_with_too_short_a_lease_is_deferred_and_its_claim_released(office: Office) -> None:
    assert office.handler(start_within=-1.0)([FakeDelivery(json.dumps(event()).encode())]) == [
        Outcome(Disposition.DEFER, "email: too little of its lease is left")
    ]
    assert office.document(EMAIL)["status"] == "pending"
    assert office.email.sent == []
    assert office.receive_all(event()) == [DELIVERED]
    assert len(office.email.sent) == 1


def test_the_time_to_begin_sending_runs_from_before_the_insert() -> None:
    class SlowStore:
        """A store whose insert is slow."""

        def __init__(self, store: NotificationStore) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            time.sleep(0.1 if name == "add" else 0)
            return getattr(self._store, name)

    office = Office(SlowStore)
    (outcome,) = office.handler(start_within=0.05)([FakeDelivery(json.dumps(event()).encode())])
    assert (outcome.disposition, office.email.sent) == (Disposition.DEFER, [])


def test_a_stopping_consumer_leaves_messages_unsettled_and_releases_their_claims(office: Office) -> None:
    office.email.listen = office.stop.set
    outcomes = office.receive_all(event(), event("order-2"))
    assert outcomes == [DELIVERED, Outcome(Disposition.UNSETTLED, "email: the consumer stops")]
    assert office.store.claim("order-2.order_created:email", "another")


def test_a_consumer_that_lost_its_claim_cannot_release_it(office: Office) -> None:
    office.store.add(composed(event()), "slow")
    office.clock.move(61)
    office.store.claim(EMAIL, "quick")
    office.store.release_claims([EMAIL], "slow")
    assert office.statuses[EMAIL] == "sending"


def test_a_channel_that_waits_sends_concurrently_and_each_failure_is_separate() -> None:
    office = Office(side_by_side=3)
    together = threading.Barrier(3)
    office.email.listen = lambda: together.wait(10)
    office.email.fail()
    outcomes = office.receive_all(*[event(f"order-{number}") for number in range(3)])
    assert sorted(outcome.disposition.name for outcome in outcomes) == ["ACKNOWLEDGE", "ACKNOWLEDGE", "RETRY"]
    assert len(office.email.sent) == 2


def test_a_slow_channel_delays_no_other() -> None:
    office = Office(side_by_side=1)
    office.email.listen = lambda: until(lambda: len(office.sms.sent) == 2, "both SMS are sent", seconds=10)
    assert office.receive_all(event(phone="+32"), event("order-2", phone="+33")) == [DELIVERED] * 2


class FlakyStore:
    """A store that is unavailable at the first call of each method, after the method has had its effect."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._failed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            result = getattr(self._store, name)(*arguments)
            if name not in self._failed:
                self._failed.add(name)
                raise Unavailable("away")
            return result

        return call


def test_the_notifier_waits_for_the_database_at_any_step_and_sends_nothing_twice() -> None:
    office = Office(FlakyStore)
    office.email.fail()
    assert office.receive() == Outcome(Disposition.RETRY, "email: no luck")
    assert office.receive() == DELIVERED
    assert office.statuses == {EMAIL: "sent", SMS: "sent"}
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


class UnavailableStore:
    """A store that never answers."""

    def add(self, _notifications: Any, _claim: str) -> set[str]:
        raise Unavailable("away")


def test_a_consumer_that_waits_for_the_database_can_be_stopped_and_leaves_the_message_unsettled() -> None:
    office = Office(lambda _store: UnavailableStore())
    threading.Timer(0.05, office.stop.set).start()
    assert office.receive() == Outcome(Disposition.UNSETTLED, "away")


def test_an_unexpected_error_anywhere_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    office = Office(lambda _store: object())
    assert office.receive() == Outcome(
        Disposition.RETRY, "email: unexpected AttributeError; sms: unexpected AttributeError"
    )
    assert caplog.messages == ["notification not sent: unexpected error"] * 2


def test_an_event_whose_mail_cannot_be_composed_is_retried_and_stops_no_other(office: Office) -> None:
    def compose(event: Event) -> list[Notification]:
        if event.order_id == "odd":
            raise UndefinedError("'evnt' is undefined")
        return COMPOSER.notifications_of(event)

    batch = [FakeDelivery(json.dumps(event(order)).encode()) for order in ("order-1", "odd", "order-2")]
    assert office.handler(compose=compose)(batch) == [
        DELIVERED,
        Outcome(Disposition.RETRY, "unexpected UndefinedError"),
        DELIVERED,
    ]
    assert [n.order_id for n in office.email.sent] == ["order-1", "order-2"]


def test_an_invalid_message_is_a_dead_letter(office: Office) -> None:
    assert office.receive_all(b"?") == [Outcome(Disposition.DEAD_LETTER, "the body is not JSON")]
    assert office.statuses == {}


def test_log_lines_belong_to_the_request_or_else_to_the_event(office: Office) -> None:
    seen: list[str] = []
    office.email.listen = office.sms.listen = lambda: seen.append(logs.request_id.get())
    office.receive_all(event(phone="+32"), event("order-2") | {"requestid": "r-1"})
    assert seen == ["order-1.order_created", "order-1.order_created", "r-1"]


@pytest.mark.parametrize(
    ("dispositions", "combined"),
    [
        ([], Disposition.ACKNOWLEDGE),
        ([Disposition.ACKNOWLEDGE, Disposition.DEAD_LETTER], Disposition.DEAD_LETTER),
        ([Disposition.DEAD_LETTER, Disposition.DEFER], Disposition.RETRY),
        ([Disposition.DEAD_LETTER, Disposition.UNSETTLED], Disposition.RETRY),
        ([Disposition.DEFER, Disposition.UNSETTLED], Disposition.UNSETTLED),
        ([Disposition.UNSETTLED, Disposition.RETRY], Disposition.RETRY),
    ],
)
def test_the_dispositions_of_its_notifications_decide_what_happens_to_a_message(
    dispositions: list[Disposition], combined: Disposition
) -> None:
    outcomes = [DELIVERED if d is Disposition.ACKNOWLEDGE else Outcome(d, d.name) for d in dispositions]
    unsent = [outcome.reason for outcome in outcomes if outcome is not DELIVERED]
    assert combine(outcomes) == Outcome(combined, "; ".join(unsent))
