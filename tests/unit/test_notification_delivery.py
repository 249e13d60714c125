"""From an event to its notifications: each is sent once per channel, and the channels fail separately."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chassis import logs
from chassis.errors import Unavailable
from notification_service.events import read_event
from notification_service.handling import Handler, Outcome, Verdict
from notification_service.notifications import Notifier, NotSent, Patience, Undeliverable
from notification_service.store import NotificationStore
from notification_service.texts import notifications_of
from tests.unit.notification_app import FakeChannel, FakeClock, event, make_database, make_store

EMAIL, SMS = "order-1.order_created:email", "order-1.order_created:sms"
DONE = Outcome(Verdict.DONE)


class Office:
    """All there is around the notifier."""

    def __init__(self, wrap: Callable[[NotificationStore], Any] = lambda store: store) -> None:
        self.clock = FakeClock()
        self.database = make_database()
        self.store = make_store(self.database, self.clock)
        self.email, self.sms = FakeChannel(), FakeChannel()
        self.stop = threading.Event()
        patience = Patience(self.stop, longest=0.01)
        self.handle = Handler(Notifier(wrap(self.store), {"email": self.email, "sms": self.sms}, patience))

    def receive(self, **user: Any) -> Outcome:
        return self.receive_all(event(phone="+32", **user))[0]

    def receive_all(self, *messages: dict[str, Any] | bytes) -> list[Outcome]:
        return self.handle([m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages])

    def document(self, notification_id: str) -> Any:
        return self.database.notifications.find_one({"_id": notification_id})

    @property
    def statuses(self) -> dict[str, str]:
        return {d["_id"]: d["status"] for d in self.database.notifications.find()}


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_new_event_is_sent_on_both_channels(office: Office) -> None:
    assert office.receive() == DONE
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
        "body": "Thank you! We have received your order order-1.\n",
        "status": "sent",
        "attempts": 1,
        "error": None,
        "created_at": office.clock.now,
    }


def test_a_redelivered_event_sends_nothing_again(office: Office) -> None:
    assert [office.receive() for _ in range(3)] == [DONE] * 3
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


def test_a_failing_email_does_not_stop_the_sms_and_is_what_a_retry_sends(office: Office) -> None:
    office.email.fail()
    assert office.receive() == Outcome(Verdict.RETRY, "email: no luck")
    assert office.statuses == {EMAIL: "failed", SMS: "sent"}
    assert office.document(EMAIL)["error"] == "email: no luck"
    assert office.receive() == DONE
    assert office.document(EMAIL)["error"] is None
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


def test_what_is_refused_for_good_is_dead_unless_another_channel_may_still_succeed(office: Office) -> None:
    office.email.fail(Undeliverable("no such user"), Undeliverable("no such user"))
    office.sms.fail()
    assert office.receive().verdict is Verdict.RETRY
    assert office.receive() == Outcome(Verdict.DEAD, "email: no such user")
    assert office.statuses == {EMAIL: "failed", SMS: "sent"}


def test_an_unexpected_error_is_retried_and_its_text_not_logged(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.email.fail(ValueError("cannot reach ana@example.com"))
    assert office.receive() == Outcome(Verdict.RETRY, "email: unexpected ValueError")
    assert office.statuses[SMS] == "sent"
    logged = "".join(logs.JsonFormatter("n").format(record) for record in caplog.records)
    assert "unexpected error in a channel" in logged
    assert "ana@example.com" not in logged


def test_what_another_consumer_is_sending_is_left_to_it_until_its_lease_ends(office: Office) -> None:
    office.sms.fail()
    office.receive()
    assert office.store.claim(SMS, "another")
    assert office.receive() == Outcome(Verdict.WAIT, "sms: another consumer is sending it")
    office.clock.move(59.9)
    assert office.receive().verdict is Verdict.WAIT
    office.clock.move(0.2)
    assert office.receive() == DONE
    assert len(office.sms.sent) == 1


def test_what_is_inserted_first_is_claimed_with_it_and_by_nobody_else(office: Office) -> None:
    notifications = notifications_of(read_event(json.dumps(event(phone="+32")).encode()))
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


def test_who_has_lost_the_claim_cannot_mark_a_failure_but_a_success_is_a_fact(office: Office) -> None:
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


class Flaky:
    """A store that is away at the first call of each method, after the method has had its effect."""

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


def test_an_outage_of_the_database_at_any_step_is_waited_for_and_sends_nothing_twice() -> None:
    office = Office(Flaky)
    office.email.fail()
    assert office.receive() == Outcome(Verdict.RETRY, "email: no luck")
    assert office.receive() == DONE
    assert office.statuses == {EMAIL: "sent", SMS: "sent"}
    assert (len(office.email.sent), len(office.sms.sent)) == (1, 1)


class Away:
    """A store that never answers."""

    def add(self, _notifications: Any, _claim: str) -> set[str]:
        raise Unavailable("away")


def test_who_waits_for_the_database_can_be_stopped_and_leaves_the_message() -> None:
    office = Office(lambda _store: Away())
    threading.Timer(0.05, office.stop.set).start()
    assert office.receive() == Outcome(Verdict.LEAVE, "away")


def test_an_unexpected_error_anywhere_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    office = Office(lambda _store: object())
    assert office.receive() == Outcome(
        Verdict.RETRY, "email: unexpected AttributeError; sms: unexpected AttributeError"
    )
    assert caplog.messages == ["unexpected error"] * 2


def test_an_unreadable_message_is_dead(office: Office) -> None:
    assert office.receive_all(b"?") == [Outcome(Verdict.DEAD, "the body is not JSON")]
    assert office.statuses == {}


def test_log_lines_belong_to_the_request_or_else_to_the_event(office: Office) -> None:
    seen: list[str] = []
    office.email.listen = office.sms.listen = lambda: seen.append(logs.request_id.get())
    office.receive_all(event(phone="+32"), event("order-2") | {"requestid": "r-1"})
    assert seen == ["order-1.order_created", "order-1.order_created", "r-1"]


def test_a_problem_keeps_its_kind() -> None:
    assert not NotSent("x").permanent
    assert Undeliverable("x").permanent
