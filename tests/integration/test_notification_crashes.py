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


@pytest.mark.parametrize(
    ("point", "mails"),
    [
        (f"before {STORE}.add", 1),
        (f"after {STORE}.add", 1),
        (f"before {CHANNEL}.send", 1),
        (f"after {CHANNEL}.send", 2),  # the mail server said yes, and nobody knows
        (f"before {STORE}.mark_sent", 2),
        (f"after {STORE}.mark_sent", 1),
        (f"before {STORE}.claim", 1),
        (f"after {STORE}.claim", 1),
        (f"before {MESSAGE}.acknowledge", 1),
        (f"after {MESSAGE}.acknowledge", 1),
    ],
)
def test_death_while_notifying(
    environment: Environment,
    database: Database[Document],
    broker: Broker,
    mail: MailServer,
    smtp_port: int,
    point: str,
    mails: int,
) -> None:
    broker.publish(event())
    dying.run(consume, environment, point=point)
    finish(environment, database, broker, smtp_port)
    assert (len(mail.ids), len(set(mail.ids))) == (mails, 1)


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
