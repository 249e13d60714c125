"""The consumer crashes at every step of handling a message, and another consumer takes over."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pymongo
import pytest
from pymongo.database import Database

from chassis.mongo import Document
from notification_service import config, consumer, dead_letters
from tests.integration import dying, mailroom
from tests.integration.mailroom import Broker, MailServer, answers, consuming, event
from tests.waiting import until

STORE, CHANNEL = "notification_service.store:NotificationStore", "notification_service.channels:EmailChannel"
MESSAGE, PIKA = "notification_service.messages:Message", "pika.adapters.blocking_connection:BlockingChannel"

Environment = dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@dataclass(frozen=True)
class Room:
    """A broker, a mail server, the history, and the environment of a consumer that uses them."""

    environment: Environment
    database: Database[Document]
    broker: Broker
    mail: MailServer
    smtp_port: int

    def die(self, point: str, work: Callable[[Environment], None] | None = None) -> None:
        """Let a process consume, or do other work, until it crashes at a point."""
        dying.run(work or consume, self.environment, point=point)

    def consuming(self) -> AbstractContextManager[object]:
        """Run another consumer."""
        return consuming(self.environment["RABBITMQ_URL"], self.database, self.smtp_port)

    def finish(self, sent: int = 2) -> None:
        """Let another consumer do the rest, until `sent` notifications are sent."""
        with self.consuming():
            until(lambda: self.statuses() == ["sent"] * sent, "all are sent")
            depth = self.broker.depth
            until(lambda: depth("notifications") + depth("notifications.retry.5s") == 0, "no message is left")

    def statuses(self) -> list[str]:
        return [document["status"] for document in self.database.notifications.find()]


@pytest.fixture
def room(mongo_url: str, broker_url: str) -> Iterator[Room]:
    mail = MailServer()
    with (
        pymongo.MongoClient[Document](mongo_url, tz_aware=True) as client,
        mailroom.connected(broker_url) as broker,
        mailroom.listening(mail) as port,
    ):
        environment = {
            "ENVIRONMENT": "development",
            "LOG_LEVEL": "CRITICAL",
            "MONGO_URL": mongo_url,
            "RABBITMQ_URL": broker_url,
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "LEASE_SECONDS": "0.3",
        }
        yield Room(environment, client.get_default_database(), broker, mail, port)


def consume(environment: Environment) -> None:
    os.environ.update(environment)
    config.MIN_LEASE = config.TO_SEND = 0.0
    consumer.main()


def consume_late(environment: Environment) -> None:
    """Consume with a lease that is too short to send anything."""
    os.environ.update(environment)
    config.MIN_LEASE, config.TO_SEND = 0.0, 60.0
    consumer.main()


def replay(environment: Environment) -> None:
    os.environ.update(environment)
    dead_letters.main(["replay"])


ORDERS = [f"order-{number}" for number in range(3)]


@pytest.mark.parametrize(
    ("point", "repeats"),
    [
        (f"before {STORE}.add", 0),
        (f"after {STORE}.add", 0),
        (f"before {CHANNEL}.send", 0),
        (f"after {CHANNEL}.send", 3),  # at most: the mail server accepted the mails, and nobody knows
        (f"before {STORE}.mark_sent", 3),
        (f"after {STORE}.mark_sent", 0),
        (f"before {MESSAGE}.acknowledge", 0),
        (f"after {MESSAGE}.acknowledge", 0),
    ],
)
def test_a_crash_while_sending_a_batch(room: Room, point: str, repeats: int) -> None:
    room.broker.publish(*map(event, ORDERS))
    room.die(point)
    room.finish(sent=6)
    assert len(set(room.mail.ids)) == 3
    assert len(room.mail.ids) <= 3 + repeats
    if point == f"before {STORE}.mark_sent":
        assert len(room.mail.ids) > 3, "they were sent and not marked"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["mark_failed", "sent_among", "claim"])
def test_a_crash_while_claiming_failed_notifications_again(room: Room, step: str, when: str) -> None:
    room.mail.data = answers(*["451 later"] * 3)
    room.broker.publish(*map(event, ORDERS))
    room.die(f"{when} {STORE}.{step}")
    room.finish(sent=6)
    assert len(room.mail.ids) == len(set(room.mail.ids)) == 3


@pytest.mark.parametrize("point", [f"before {STORE}.release_claims", f"after {STORE}.release_claims"])
def test_a_crash_while_releasing_claims(room: Room, point: str) -> None:
    room.broker.publish(*map(event, ORDERS))
    room.die(point, consume_late)
    assert room.mail.ids == []
    room.finish(sent=6)
    assert len(room.mail.ids) == len(set(room.mail.ids)) == 3


@pytest.mark.parametrize(
    "point", [f"before {MESSAGE}.retry", f"after {PIKA}.basic_publish", f"before {MESSAGE}.acknowledge"]
)
def test_a_crash_while_scheduling_a_retry(room: Room, point: str) -> None:
    room.mail.data = answers("451 later")
    room.broker.publish(event())
    room.die(point)
    room.finish()
    assert len(room.mail.ids) == 1


@pytest.mark.parametrize(
    ("point", "copies"),
    [(f"before {MESSAGE}.dead_letter", 1), (f"after {PIKA}.basic_publish", 2), (f"before {MESSAGE}.acknowledge", 2)],
)
def test_a_crash_while_moving_a_message_to_the_dead_letters(room: Room, point: str, copies: int) -> None:
    room.broker.publish(b"this is no event")
    room.die(point)
    with room.consuming():
        until(lambda: room.broker.depth("notifications.dead") == copies, "it is a dead letter")
        until(lambda: room.broker.depth("notifications") == 0, "all messages are consumed")
    assert room.broker.depth("notifications.dead") == copies


@pytest.mark.parametrize("point", [f"before {MESSAGE}.replay", f"before {MESSAGE}.acknowledge"])
def test_a_crash_while_replaying_dead_letters(room: Room, point: str) -> None:
    room.mail.rcpt = answers("550 nobody")
    room.broker.publish(event())
    with room.consuming():
        until(lambda: room.broker.depth("notifications.dead") == 1, "it is a dead letter")
    room.die(point, replay)
    until(lambda: room.broker.depth("notifications.dead") == 1, "the broker has noticed the death")
    dying.run(replay, room.environment)
    room.finish()
    assert room.broker.depth("notifications.dead") == 0
    assert len(room.mail.ids) == 1


def test_the_events_of_an_order_may_come_in_any_order_and_repeatedly(room: Room) -> None:
    kinds = ["order_created", "order_shipped", "order_delivered", "order_cancelled"]
    for kind in [*reversed(kinds), *kinds, *reversed(kinds)]:
        room.broker.publish(event(kind=kind), key=kind)
    room.finish(sent=2 * len(kinds))
    sent = Counter(document["event_type"] for document in room.database.notifications.find({"status": "sent"}))
    assert sent == Counter(dict.fromkeys(kinds, 2))
    assert len(room.mail.ids) == len(set(room.mail.ids)) == len(kinds)
