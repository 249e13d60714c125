"""A mail server whose replies a test chooses, and a consumer that sends through it."""

import email
import email.message
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pika
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pika.adapters.blocking_connection import BlockingChannel
from pymongo.database import Database

from chassis import mongo
from chassis.heartbeat import Heartbeat
from chassis.mongo import Document
from notification_service import config, topology
from notification_service.channels import EmailChannel, SimulatedChannel
from notification_service.config import MAIL_FROM
from notification_service.consumer import Consumer
from notification_service.handling import handle_messages
from notification_service.messages import connect
from notification_service.notifier import Notifier
from notification_service.retrying import RetryWhileUnavailable
from notification_service.session import ConsumerSession
from notification_service.smtp_connection import SmtpServer
from notification_service.smtp_pool import SmtpPool
from notification_service.store import NotificationStore
from tests.at_once import meanwhile
from tests.unit.notification.notification_app import COMPOSER
from tools.stack.ports import free_ports

ACCEPTED = "250 OK"
CUT = "the connection is cut"
SILENCE = "nothing is answered"
STRICT = re.compile(r"\[(IPv6:)?[0-9a-f.:]+\]|[\w-]+(\.[\w-]+)+")


class MailServer:
    """Keeps the mails that it accepts in `received`. A test replaces the functions that reply to a mail or a recipient.

    It replies to one `step` of the dialogue ("greeting" or a command) with `reply`. It does not offer the extensions in
    `lacks`, and offers those in `offers`. `names` are the clients' names in EHLO, one for each connection; a strict
    server requires them to be as in RFC 5321, 4.1.1.1.
    """

    def __init__(self, step: str = "", reply: str = "", *, strict: bool = False) -> None:
        self.received: list[email.message.Message] = []
        self.envelopes: list[Envelope] = []
        self.names: list[str] = []
        self.step, self.reply, self.strict = step, reply, strict
        self.lacks: set[str] = set()
        self.offers: list[str] = []
        self.rcpt: Callable[[], str] = lambda: ACCEPTED
        self.data: Callable[[], str] = lambda: ACCEPTED
        self.delay = 0.0
        self.quits = 0

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.names.append(hostname)
        offered = [line for line in responses if line[4:].split()[0] not in self.lacks]
        return [offered[0], *(f"250-{extension}" for extension in self.offers), *offered[1:]]

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        self.quits += 1
        return "221 Bye"

    async def handle_RCPT(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.strict and not STRICT.fullmatch(session.host_name):
            return "504 5.5.2 Helo command rejected: need fully-qualified hostname"
        if (answer := self.rcpt()) == ACCEPTED:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        delay = self.delay
        if (answer := self.data()) == ACCEPTED:
            content = envelope.content
            assert isinstance(content, bytes)
            self.received.append(email.message_from_bytes(content))
            self.envelopes.append(envelope)
        await server.loop.run_in_executor(None, time.sleep, delay)
        return answer

    @property
    def ids(self) -> list[str]:
        """Return the Message-ID of each mail."""
        return [mail["Message-ID"] for mail in self.received]


class Dialogue(SMTP):
    """A dialogue of aiosmtpd, in which the mail server replies to one step as the test says."""

    def __init__(self, server: MailServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._mail = server
        self._smtp_methods |= {step: self._answer for step in server.step.split("/")}

    async def _answer(self, _argument: str) -> None:
        await self.push(self._mail.reply)

    async def push(self, status: str) -> None:
        if self._mail.step == "greeting" and status.startswith("220 "):
            status = self._mail.reply
        if status == CUT:
            self.transport.abort()
        elif status != SILENCE:
            await super().push(status)


class Listener(Controller):
    """Holds a separate dialogue with each client."""

    def factory(self) -> SMTP:
        return Dialogue(self.handler, **self.SMTP_kwargs)


@contextmanager
def listening(server: MailServer, port: int | None = None, **options: Any) -> Iterator[int]:
    """Let a mail server listen, and yield its port. Options are aiosmtpd's."""
    port = port or free_ports(1)[0]
    controller = Listener(server, hostname="127.0.0.1", port=port, ready_timeout=10, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def answers(*first: str) -> Callable[[], str]:
    """Return a function that gives these answers one after the other, and then accepts."""
    remaining = list(first)
    return lambda: remaining.pop(0) if remaining else ACCEPTED


def event(order_id: str = "order-1", kind: str = "order_created", **changed: Any) -> dict[str, Any]:
    """Return an event as order-service publishes it."""
    user = {"id": "user-1", "email": "ana@example.com", "phone": "+3222345678"}
    line = {"product_id": "demo-1", "name": "Coffee mug", "quantity": 2, "unit_price": "9.99"}
    order = {"order_id": order_id, "user": user, "lines": [line], "total": "19.98", "currency": "EUR"}
    return {
        "specversion": "1.0",
        "id": f"{order_id}.{kind}",
        "type": kind,
        "subject": order_id,
        "data": order,
        **changed,
    }


class Broker:
    """RabbitMQ, as a test uses it."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel

    def publish(self, *messages: dict[str, Any] | bytes, key: str = "order_created") -> None:
        """Publish as order-service does; bytes are published as they are."""
        for message in messages:
            body = message if isinstance(message, bytes) else json.dumps(message).encode()
            properties = {} if isinstance(message, bytes) else {"message_id": message["id"], "type": message["type"]}
            self._channel.basic_publish("shop.events", key, body, pika.BasicProperties(**properties, delivery_mode=2))

    def put(self, queue: str, body: bytes, properties: pika.BasicProperties | None = None) -> None:
        """Put a message into a queue."""
        self._channel.basic_publish("", queue, body, properties)

    def depth(self, queue: str) -> int:
        """Return how many messages are ready in a queue."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        self._channel.queue_delete(queue)

    def dead(self) -> tuple[dict[str, Any], bytes]:
        """Remove a dead letter and return its headers and body."""
        _, properties, body = self._channel.basic_get("notifications.dead", auto_ack=True)
        assert body is not None, "no dead letter"
        return properties.headers, body


@contextmanager
def connected(url: str) -> Iterator[Broker]:
    """Connect to RabbitMQ."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield Broker(channel)


@contextmanager
def consuming(
    broker_url: str,
    database: Database[Document],
    smtp_port: int,
    *,
    lease: float = 60.0,
    smtp_timeout: float = 30.0,
    start_within: float = 30.0,
    threads: int = 4,
) -> Iterator[None]:
    """Run a consumer in a thread."""
    stop = threading.Event()
    clock = mongo.DatabaseClock(database)
    store = NotificationStore(database, clock, lease=lease)
    with closing(SmtpPool(SmtpServer("127.0.0.1", smtp_port))) as smtp, ThreadPoolExecutor(threads) as pool:
        channels = {"email": EmailChannel(smtp, MAIL_FROM, timeout=smtp_timeout), "sms": SimulatedChannel()}
        notifier = Notifier(store, channels, RetryWhileUnavailable(stop), clock, start_within=start_within)
        handle, queues = (
            partial(handle_messages, COMPOSER.notifications_of, notifier),
            topology.load(config.TOPOLOGY_FILE),
        )

        def open_session() -> ConsumerSession:
            return ConsumerSession(connect(broker_url), pool, handle, queues, prefetch=250)

        with meanwhile(lambda: Consumer(open_session, Heartbeat()).run(stop), stop=stop):
            yield
