"""What the consumer counts: each message by what became of it, each attempt to send by its outcome."""

import json
from contextlib import closing
from email.message import EmailMessage
from typing import Any

import pytest

from chassis.errors import Unavailable
from chassis.schemas import format_time
from notification_service.config import ConsumerSettings
from notification_service.consumer import _shown
from notification_service.delivery import DELIVERED, DeliveryError, Disposition, Outcome, PermanentDeliveryError
from notification_service.messages import Settlement
from notification_service.smtp_pool import SmtpPool
from notification_service.topology import Topology
from tests.clock import FakeClock
from tests.counted import counted, value
from tests.deliveries import FakeDelivery
from tests.unit.notification.notification_app import event
from tests.unit.notification.test_delivery import Office

EMAILS, TEXTS = "shop_notifications_total email", "shop_notifications_total sms"
DELAYS = "shop_notification_delay_seconds"


@pytest.fixture
def office() -> Office:
    return Office()


def timed(office: Office, seconds_ago: float = 7) -> dict[str, Any]:
    """Return an event that happened some seconds ago."""
    sent = event(phone="+32") | {"time": format_time(office.clock())}
    office.clock.move(seconds_ago)
    return sent


def test_a_notification_counts_when_it_is_sent_with_the_time_since_its_event(office: Office) -> None:
    message = timed(office)
    before = [value(f"{DELAYS}_sum {channel}") for channel in ("email", "sms")]
    with counted() as grown:
        office.receive_all(message)
    assert grown == {f"{EMAILS} sent": 1, f"{TEXTS} sent": 1, f"{DELAYS}_count email": 1, f"{DELAYS}_count sms": 1}
    assert [value(f"{DELAYS}_sum {channel}") for channel in ("email", "sms")] == [seconds + 7 for seconds in before]


def test_a_redelivery_and_a_second_message_of_the_same_event_count_nothing(office: Office) -> None:
    message = timed(office)
    with counted() as grown:
        office.receive_all(message, message)
        office.receive_all(message)
    assert (grown[f"{EMAILS} sent"], grown[f"{DELAYS}_count email"]) == (1, 1)


@pytest.mark.parametrize("time", [None, "yesterday"])
def test_an_event_without_a_time_counts_and_has_no_delay(office: Office, time: Any) -> None:
    with counted() as grown:
        office.receive_all(event() | {"time": time})
    assert grown == {f"{EMAILS} sent": 1}


def test_an_event_of_the_future_has_no_negative_delay(office: Office) -> None:
    message = timed(office, -5)
    before = value(f"{DELAYS}_sum email")
    office.receive_all(message)
    assert value(f"{DELAYS}_sum email") == before


def test_a_failed_attempt_counts_by_whether_another_one_can_succeed(office: Office) -> None:
    office.email.fail(DeliveryError("busy"))
    office.sms.fail(PermanentDeliveryError("no such number"))
    with counted() as grown:
        office.receive_all(timed(office))
    assert grown == {f"{EMAILS} failed": 1, f"{TEXTS} rejected": 1}
    office.sms.fail(KeyError("unexpected"))
    with counted() as grown:
        office.receive_all(timed(office))
    assert grown == {f"{EMAILS} sent": 1, f"{DELAYS}_count email": 1, f"{TEXTS} failed": 1}


def test_what_is_not_tried_counts_nothing(office: Office) -> None:
    with counted() as grown:
        office.handler(start_within=-1.0)([FakeDelivery(json.dumps(event()).encode())])
        office.stop.set()
        office.receive()
    assert grown == {}


def test_a_notification_that_is_sent_stays_so_if_the_time_is_unknown(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, clock = timed(office), FakeClock.__call__

    def while_it_is_sent() -> None:
        def fail_once(_clock: FakeClock) -> None:
            monkeypatch.setattr(FakeClock, "__call__", clock)
            raise Unavailable("away")

        monkeypatch.setattr(FakeClock, "__call__", fail_once)

    office.email.listen = while_it_is_sent
    with counted() as grown:
        assert office.receive_all(message) == [DELIVERED]
    assert grown == {f"{EMAILS} sent": 1, f"{TEXTS} sent": 1, f"{DELAYS}_count sms": 1}


class FakeMessage:
    """A message that notes what is done with it."""

    def __init__(self, tag: int, attempts: int = 0) -> None:
        self.tag, self.id, self.attempts, self.trace = tag, str(tag), attempts, None
        self.fails = False

    def acknowledge(self, *, multiple: bool = False) -> None:
        if self.fails:
            raise ConnectionError

    def _move(self, _to: str) -> None:
        self.acknowledge()

    retry = defer = dead_letter = _move


def settle(*batch: tuple[FakeMessage, Disposition]) -> None:
    settlement = Settlement(Topology(("notifications.retry.5s",)))
    for message, _ in batch:
        settlement.add(message)  # type: ignore[arg-type]
    outcomes = [Outcome(disposition) for _, disposition in batch]
    settlement.settle([message for message, _ in batch], outcomes)  # type: ignore[misc]


def test_a_message_counts_by_what_was_done_with_it() -> None:
    batch = [(FakeMessage(number), disposition) for number, disposition in enumerate(Disposition)]
    with counted() as grown:
        settle(*batch, (FakeMessage(10), Disposition.ACKNOWLEDGE))
    single = dict.fromkeys((f"shop_messages_total {d.name.lower()}" for d in Disposition), 1)
    assert grown == single | {"shop_messages_total acknowledge": 2}


def test_a_message_whose_last_attempt_has_failed_counts_as_a_dead_letter() -> None:
    with counted() as grown:
        settle((FakeMessage(1, attempts=1), Disposition.RETRY))
    assert grown == {"shop_messages_total dead_letter": 1}


@pytest.mark.parametrize("disposition", [Disposition.ACKNOWLEDGE, Disposition.RETRY, Disposition.DEAD_LETTER])
def test_a_message_that_cannot_be_settled_counts_nothing(disposition: Disposition) -> None:
    message = FakeMessage(1)
    message.fails = True
    with counted() as grown, pytest.raises(ConnectionError):
        settle((message, disposition))
    assert grown == {}


def test_mails_that_are_being_sent_are_shown() -> None:
    class Server:
        """A mail server that is away."""

        def connect(self, _deadline: float) -> None:
            shown.append(value("shop_pool_busy smtp"))
            raise OSError

    shown: list[float] = []
    with closing(SmtpPool(Server(), 3)) as pool, pytest.raises(DeliveryError):  # type: ignore[arg-type]
        pool.send(EmailMessage(), "shop@example.com", "ana@example.com", timeout=1.0)
    assert (shown, value("shop_pool_busy smtp"), value("shop_pool_size smtp")) == ([1], 0, 3)


def test_batches_in_work_are_shown() -> None:
    shown: list[float] = []

    def handle(_batch: Any) -> list[Outcome]:
        shown.append(value("shop_pool_busy batches"))
        raise KeyError("unexpected")

    settings = ConsumerSettings(environment="development", mongo_url="mongodb://m/n", rabbitmq_url="amqp://r/")
    with pytest.raises(KeyError):
        _shown(handle, settings)([])
    assert (shown, value("shop_pool_busy batches"), value("shop_pool_size batches")) == ([1], 0, 4)
