"""The consumer on a real RabbitMQ, a real database and a real mail server."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pymongo
import pytest
from pymongo.database import Database

from chassis.mongo import Document
from deploy import broker as provisioning
from deploy.config import Account
from notification_service import dead_letters
from tests import ephemeral_servers
from tests.integration import mailroom
from tests.integration.mailroom import Broker, MailServer, answers, consuming, event
from tests.waiting import until
from tools.stack.rabbitmq import RabbitServer


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
def statuses(database: Database[Document]) -> Callable[[], dict[str, str]]:
    """Return a function that reads the status of each notification."""
    return lambda: {d["_id"]: d["status"] for d in database.notifications.find()}


@pytest.fixture
def command(broker_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the dead-letter command, and returns its exit code and output."""
    monkeypatch.setenv("RABBITMQ_URL", broker_url)

    def run(*arguments: str) -> tuple[int, str]:
        code = dead_letters.main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


BOTH_SENT = {"order-1.order_created:email": "sent", "order-1.order_created:sms": "sent"}


def test_an_event_becomes_an_email_and_an_sms(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    broker.publish(event())
    with consuming(broker_url, database, smtp_port):
        until(lambda: statuses() == BOTH_SENT, "both are sent")
    (sent,) = mail.received
    assert (sent["To"], sent["From"]) == ("ana@example.com", "shop@example.com")
    assert sent["Subject"] == "Your order order-1 is confirmed"
    text, page = (part.get_payload(decode=True).decode() for part in sent.get_payload())
    assert "2 x Coffee mug, 9.99 EUR each: 19.98 EUR" in text
    assert "<td" in page
    assert broker.depth("notifications") == 0


def test_a_redelivered_event_is_not_sent_again(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    with consuming(broker_url, database, smtp_port):
        for _ in range(3):
            broker.publish(event())
            until(lambda: statuses() == BOTH_SENT, "both are sent")
        broker.publish(event("order-2"))
        until(lambda: len(statuses()) == 4, "the next event is handled")
        until(lambda: len(mail.received) == 2, "one e-mail for each event")
    assert database.notifications.find_one({"_id": "order-1.order_created:email"})["attempts"] == 1  # type: ignore[index]


def test_a_failing_email_is_retried_after_each_delay_and_the_sms_is_sent_once(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    mail.data = answers("451 busy", "421 closing", "452 full")
    broker.publish(event())
    with consuming(broker_url, database, smtp_port):
        until(lambda: statuses() == BOTH_SENT, "both are sent")
    attempts = {d["channel"]: d["attempts"] for d in database.notifications.find()}
    assert attempts == {"email": 4, "sms": 1}
    assert len(mail.received) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\xff not json", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (json.dumps(event(kind="order_painted")).encode(), "the type of event is unknown"),
        (
            json.dumps(event(data={"order_id": "o", "user": {"id": "u"}})).encode(),
            "email is missing or has the wrong type",
        ),
        (json.dumps({k: v for k, v in event().items() if k != "id"}).encode(), "id is missing or has the wrong type"),
    ],
)
def test_a_poison_message_is_a_dead_letter_at_once_and_delays_nothing(
    broker_url: str,
    broker: Broker,
    database: Database[Document],
    smtp_port: int,
    statuses: Any,
    message: bytes,
    reason: str,
) -> None:
    broker.publish(message, event())
    with consuming(broker_url, database, smtp_port):
        until(lambda: statuses() == BOTH_SENT, "the next message is handled")
        until(lambda: broker.depth("notifications.dead") == 1, "it is a dead letter")
    headers, body = broker.dead()
    assert body == message
    assert (headers["x-reason"], headers["x-attempt"]) == (reason, 1)
    assert headers["x-died-at"].endswith("Z")


@pytest.mark.parametrize(("refused", "answer"), [("recipient", "550 no such user"), ("message", "554 no")])
def test_a_permanent_refusal_is_a_dead_letter_at_once_and_the_sms_is_sent(
    broker_url: str,
    broker: Broker,
    database: Database[Document],
    mail: MailServer,
    smtp_port: int,
    statuses: Any,
    refused: str,
    answer: str,
) -> None:
    setattr(mail, {"recipient": "rcpt", "message": "data"}[refused], answers(answer))
    broker.publish(event())
    with consuming(broker_url, database, smtp_port):
        until(lambda: broker.depth("notifications.dead") == 1, "it is a dead letter")
    assert statuses() == {**BOTH_SENT, "order-1.order_created:email": "failed"}
    assert broker.dead()[0]["x-reason"] == f"email: the mail server refuses the {refused} ({answer[:3]})"


def test_control_characters_are_listed_escaped_and_replayed_by_that_name(broker_url: str, command: Any) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        properties = pika.BasicProperties(
            message_id="o\x1b[2J\n1", type="\u202eevil", headers={"x-reason": "a\r\x9bb", "x-died-at": "\u2028now"}
        )
        channel.basic_publish("", "notifications.dead", b"{}", properties)
        until(lambda: command("list")[1].count("\n") == 2, "it is listed in one line")
        code, printed = command("list")
        assert (code, printed.replace("\n", "").isprintable()) == (0, True)
        assert printed.splitlines()[1].split() == [r"o\x1b[2J\n1", r"\u202eevil", r"\u2028now", "0", r"a\r\x9bb"]
        assert command("replay", r"o\x1b[2J\n1") == (0, "1 replayed\n")


def test_a_message_that_failed_after_all_delays_is_listed_and_can_be_replayed(
    broker_url: str,
    broker: Broker,
    database: Database[Document],
    mail: MailServer,
    smtp_port: int,
    statuses: Any,
    command: Any,
) -> None:
    mail.data = answers(*["451 busy"] * 10)
    broker.publish(event(), event("order-2"), b"poison")
    with consuming(broker_url, database, smtp_port):
        until(lambda: broker.depth("notifications.dead") == 3, "all are dead letters")
        for _ in range(2):
            code, printed = command("list")
            assert code == 0
            assert "order-1.order_created " in printed
            assert "order-2.order_created " in printed
            assert printed.count("email: the mail server refuses the message (451)") == 2
            assert "ana@example.com" not in printed
            until(lambda: broker.depth("notifications.dead") == 3, "listing changes nothing")
        assert command("replay", "order-2.order_created") == (0, "1 replayed\n")
        until(lambda: statuses().get("order-2.order_created:email") == "sent", "the replayed message is sent")
        assert statuses()["order-1.order_created:email"] == "failed"
        assert command("replay", "nobody") == (1, "0 replayed\nthere is no dead letter nobody\n")
        until(lambda: broker.depth("notifications.dead") == 2, "the broker has them back")
        assert command("replay", "--limit", "1") == (0, "1 replayed\n")

        def is_settled() -> bool:
            sent = statuses()["order-1.order_created:email"] == "sent"
            return broker.depth("notifications.dead") == (1 if sent else 2)

        until(is_settled, "it is sent, or it was the poison message, which is a dead letter again")
        assert command("replay")[0] == 0
        until(lambda: set(statuses().values()) == {"sent"}, "all are sent")
        until(lambda: broker.depth("notifications.dead") == 1, "the poison message is a dead letter again")
    assert len(mail.received) == 2


@pytest.mark.parametrize("broker_url", [1000], indirect=True)
def test_the_consumer_retries_while_the_mail_server_is_down(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, statuses: Any
) -> None:
    with mailroom.listening(MailServer()) as port:
        pass
    broker.publish(event())
    with consuming(broker_url, database, port):
        until(lambda: statuses().get("order-1.order_created:email") == "failed", "the e-mail has failed")
        with mailroom.listening(mail, port):
            until(lambda: statuses() == BOTH_SENT, "both are sent")


@pytest.mark.parametrize("broker_url", [1000], indirect=True)
def test_a_mail_to_a_slow_server_times_out_and_is_retried(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    mail.delay = 3.0
    broker.publish(event())
    with consuming(broker_url, database, smtp_port, smtp_timeout=1.0):
        until(lambda: statuses().get("order-1.order_created:email") == "failed", "the e-mail has failed")
        mail.delay = 0
        until(lambda: statuses() == BOTH_SENT, "both are sent")
    assert len(set(mail.ids)) == 1, "a mail sent again has the same Message-ID"


def test_mails_that_cannot_begin_within_their_lease_are_deferred_and_sent_once(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    mail.delay = 0.6
    broker.publish(*[event(f"order-{number}") for number in range(20)])
    with consuming(broker_url, database, smtp_port, start_within=0.5):
        until(lambda: "pending" in statuses().values(), "some are deferred")
        until(lambda: list(statuses().values()) == ["sent"] * 40, "all are sent")
    assert len(mail.ids) == len(set(mail.ids)) == 20
    assert max(d["attempts"] for d in database.notifications.find({"channel": "sms"})) == 1
    assert broker.depth("notifications.dead") == 0


def test_a_slow_mail_delays_no_other_event(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    mail.delay = 5.0
    with consuming(broker_url, database, smtp_port):
        broker.publish(event("slow"))
        until(lambda: mail.received, "the mail server receives the first mail")
        mail.delay = 0.0
        broker.publish(event("quick"))
        until(lambda: statuses().get("quick.order_created:email") == "sent", "the second mail is sent", seconds=4)
        assert statuses()["slow.order_created:email"] == "sending"


def test_two_consumers_send_each_notification_once(
    broker_url: str, broker: Broker, database: Database[Document], mail: MailServer, smtp_port: int, statuses: Any
) -> None:
    events = [event(f"order-{number}") for number in range(40)]
    with consuming(broker_url, database, smtp_port), consuming(broker_url, database, smtp_port):
        broker.publish(*events, *events, *reversed(events))
        until(lambda: list(statuses().values()) == ["sent"] * 80, "all are sent")
        until(lambda: broker.depth("notifications") == 0, "all are consumed")
    assert len(mail.ids) == len(set(mail.ids)) == 40


def test_the_consumer_waits_for_its_queue_and_survives_its_deletion(
    vhost_url: str,
    database: Database[Document],
    smtp_port: int,
    statuses: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def waits(times: int) -> bool:
        records = [r for r in caplog.records if r.name == "notification_service.consumer"]
        return len([r for r in records if "no queue 'notifications' in" in r.getMessage()]) == times

    caplog.set_level("WARNING")
    with consuming(vhost_url, database, smtp_port):
        until(lambda: waits(1), "it logs the missing queue")
        for number in (1, 2):
            provisioning.declare_topology(vhost_url, 60, milliseconds=100)
            with mailroom.connected(vhost_url) as connected:
                connected.publish(event(f"order-{number}"))
                until(lambda: len(statuses()) == 2 * number, "the event is handled")  # noqa: B023
                connected.delete("notifications")
            until(lambda: waits(number + 1), "it logs each outage once, not each attempt")  # noqa: B023


@pytest.fixture
def own_rabbitmq() -> Iterator[RabbitServer]:
    """A broker that the test may stop."""
    with ephemeral_servers.rabbitmq() as server:
        provisioning.declare_topology(server.url, 60, milliseconds=100)
        yield server


def test_a_restart_of_the_broker_loses_and_repeats_nothing(
    own_rabbitmq: RabbitServer,
    database: Database[Document],
    mail: MailServer,
    smtp_port: int,
    statuses: Any,
) -> None:
    control = [str(own_rabbitmq.program.parent / "rabbitmqctl"), "-q"]
    mail.delay = 0.05
    with consuming(own_rabbitmq.url, database, smtp_port):
        with mailroom.connected(own_rabbitmq.url) as connected:
            connected.publish(*[event(f"order-{number}") for number in range(50)])
        until(lambda: len(mail.received) > 5, "it is consuming")
        for step in ("stop_app", "start_app"):
            environment = {"PATH": "/usr/bin:/bin", **own_rabbitmq.environment()}
            subprocess.run([*control, step], cwd=own_rabbitmq.home, env=environment, check=True, timeout=120)
        until(lambda: list(statuses().values()) == ["sent"] * 100, "all are sent")
    assert len(mail.ids) == len(set(mail.ids)) == 50


def test_the_rights_of_its_account_suffice(
    rabbitmq: RabbitServer,
    broker_url: str,
    broker: Broker,
    database: Database[Document],
    mail: MailServer,
    smtp_port: int,
    statuses: Any,
    command: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = Account("notification_service", "a-password")
    management = provisioning.Management(rabbitmq.management_url, broker_url)
    management.set_user(account, provisioning.NOTIFICATION_SERVICE)
    own_url = broker_url.replace(f"admin:{rabbitmq.password}@", "notification_service:a-password@")
    monkeypatch.setenv("RABBITMQ_URL", own_url)
    mail.data = answers(*["451 busy"] * 5)
    broker.publish(event())
    with consuming(own_url, database, smtp_port):
        until(lambda: broker.depth("notifications.dead") == 1, "it is a dead letter")
        assert command("replay") == (0, "1 replayed\n")
        until(lambda: statuses() == BOTH_SENT, "both are sent")
