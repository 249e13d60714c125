"""The consumer dies at every step of handling a message; what another one makes of it."""

import os
from collections import Counter
from collections.abc import Iterator

import pymongo
import pytest
from pymongo.database import Database

from chassis.mongo import Document
from notification_service import config, consumer, dead_letters
from tests.integration import dying, mailroom
from tests.integration.mailroom import Broker, MailServer, answers, consuming, event
from tests.waiting import until

STORE, CHANNEL = "notification_service.store:NotificationStore", "notification_service.channels:EmailChannel"
MESSAGE, PIKA = "notification_service.publisher:Message", "pika.adapters.blocking_connection:BlockingChannel"

Environment = dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def _forkserver() -> None:
    dying.start_server()


@pytest.fixture
def database(mongo_url: str) -> Iterator[Database[Document]]:
    with pymongo.MongoClient[Document](mongo_url, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    with mailroom.connected(broker_url) as connected:
        yield connected


@pytest.fixture
def mail() -> MailServer:
    return MailServer()


@pytest.fixture
def smtp_port(mail: MailServer) -> Iterator[int]:
    with mailroom.listening(mail) as port:
        yield port


@pytest.fixture
def environment(broker_url: str, mongo_url: str, smtp_port: int) -> Environment:
    return {
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "CRITICAL",
        "MONGO_URL": mongo_url,
        "RABBITMQ_URL": broker_url,
        "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "LEASE_SECONDS": "0.3",
    }


def consume(environment: Environment) -> None:
    os.environ.update(environment)
    config.SHORTEST_LEASE = config.TO_SEND = 0.0
    consumer.main()


def consume_late(environment: Environment) -> None:
    """Consume with a lease that is over before anything can be sent."""
    os.environ.update(environment)
    config.SHORTEST_LEASE, config.TO_SEND = 0.0, 60.0
    consumer.main()


def replay(environment: Environment) -> None:
    os.environ.update(environment)
    dead_letters.main(["replay"])


def finish(
    environment: Environment, database: Database[Document], broker: Broker, smtp_port: int, sent: int = 2
) -> None:
    """Let another consumer do all that is left, until so many notifications are sent."""
    with consuming(environment["RABBITMQ_URL"], database, smtp_port):
        until(lambda: statuses(database) == ["sent"] * sent, "all are sent")
        until(lambda: broker.depth("notifications") + broker.depth("notifications.retry.5s") == 0, "none is left")


def statuses(database: Database[Document]) -> list[str]:
    return [document["status"] for document in database.notifications.find()]


ORDERS = [f"order-{number}" for number in range(3)]


@pytest.mark.parametrize(
    ("point", "repeats"),
    [
        (f"before {STORE}.add", 0),
        (f"after {STORE}.add", 0),
        (f"before {CHANNEL}.send", 0),
        (f"after {CHANNEL}.send", 3),  # at most: a mail server said yes, and nobody knows
        (f"before {STORE}.mark_sent", 3),
        (f"after {STORE}.mark_sent", 0),
        (f"before {MESSAGE}.acknowledge", 0),
        (f"after {MESSAGE}.acknowledge", 0),
    ],
)
def test_death_while_notifying_of_a_batch(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    point: str,
    repeats: int,
) -> None:
    broker.publish(*map(event, ORDERS))
    dying.run(consume, environment, point=point)
    finish(environment, database, broker, smtp_port, sent=6)
    assert len(set(mail.ids)) == 3
    assert len(mail.ids) <= 3 + repeats
    if point == f"before {STORE}.mark_sent":
        assert len(mail.ids) > 3, "it was sent and not marked"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["mark_failed", "sent_among", "claim"])
def test_death_while_claiming_again_what_has_failed(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    step: str,
    when: str,
) -> None:
    mail.data = answers(*["451 later"] * 3)
    broker.publish(*map(event, ORDERS))
    dying.run(consume, environment, point=f"{when} {STORE}.{step}")
    finish(environment, database, broker, smtp_port, sent=6)
    assert len(mail.ids) == len(set(mail.ids)) == 3


@pytest.mark.parametrize("point", [f"before {STORE}.give_back", f"after {STORE}.give_back"])
def test_death_while_giving_back_what_came_too_late(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    point: str,
) -> None:
    broker.publish(*map(event, ORDERS))
    dying.run(consume_late, environment, point=point)
    assert mail.ids == []
    finish(environment, database, broker, smtp_port, sent=6)
    assert len(mail.ids) == len(set(mail.ids)) == 3


@pytest.mark.parametrize(
    "point", [f"before {MESSAGE}.retry", f"after {PIKA}.basic_publish", f"before {MESSAGE}.acknowledge"]
)
def test_death_while_putting_off_a_message(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    point: str,
) -> None:
    mail.data = answers("451 later")
    broker.publish(event())
    dying.run(consume, environment, point=point)
    finish(environment, database, broker, smtp_port)
    assert len(mail.ids) == 1


@pytest.mark.parametrize(
    ("point", "copies"),
    [(f"before {MESSAGE}.bury", 1), (f"after {PIKA}.basic_publish", 2), (f"before {MESSAGE}.acknowledge", 2)],
)
def test_death_while_burying_a_message(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    smtp_port: int,
    point: str,
    copies: int,
) -> None:
    broker.publish(b"this is no event")
    dying.run(consume, environment, point=point)
    with consuming(environment["RABBITMQ_URL"], database, smtp_port):
        until(lambda: broker.depth("notifications.dead") == copies, "it is a dead letter")
        until(lambda: broker.depth("notifications") == 0, "all messages are taken")
    assert broker.depth("notifications.dead") == copies


@pytest.mark.parametrize("point", [f"before {MESSAGE}.replay", f"before {MESSAGE}.acknowledge"])
def test_death_while_replaying_dead_letters(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    point: str,
) -> None:
    mail.rcpt = answers("550 nobody")
    broker.publish(event())
    with consuming(environment["RABBITMQ_URL"], database, smtp_port):
        until(lambda: broker.depth("notifications.dead") == 1, "it is a dead letter")
    dying.run(replay, environment, point=point)
    until(lambda: broker.depth("notifications.dead") == 1, "the broker has noticed the death")
    dying.run(replay, environment)
    finish(environment, database, broker, smtp_port)
    assert broker.depth("notifications.dead") == 0
    assert len(mail.ids) == 1


def test_events_of_an_order_may_come_in_any_order_and_often(
    environment: Environment, database: Database[Document], broker: Broker, mail: MailServer, smtp_port: int
) -> None:
    kinds = ["order_created", "order_shipped", "order_delivered", "order_cancelled"]
    for kind in [*reversed(kinds), *kinds, *reversed(kinds)]:
        broker.publish(event(kind=kind), key=kind)
    finish(environment, database, broker, smtp_port, sent=2 * len(kinds))
    sent = Counter(document["event_type"] for document in database.notifications.find({"status": "sent"}))
    assert sent == Counter(dict.fromkeys(kinds, 2))
    assert len(mail.ids) == len(set(mail.ids)) == len(kinds)
