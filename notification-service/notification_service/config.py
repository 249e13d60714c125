"""The settings of notification-service, its consumer and its dead-letter command, from their environment."""

import os
from dataclasses import dataclass, field
from email.headerregistry import Address
from pathlib import Path

import chassis
from chassis.config import Environment, WebSettings
from notification_service.addresses import client_name, mailbox
from notification_service.channels import SMTP_TIMEOUT
from notification_service.smtp_connection import SmtpServer

TOPOLOGY_FILE = Path(chassis.__file__).resolve().parent.parent / "contracts" / "topology.json"
MAIL_FROM = Address(username="shop", domain="example.com")
TO_SEND = SMTP_TIMEOUT + 2  # s of a lease that must be left when a notification begins to be sent
SHORTEST_LEASE = TO_SEND + 8  # s; a claim runs from before it is written, which takes 8 at most (chassis.mongo)
LARGEST_PREFETCH = 65535  # AMQP has 16 bits for it


@dataclass(frozen=True)
class Settings(WebSettings):
    """What notification-service can be told."""

    mongo_url: str = field(repr=False)
    jwks_url: str


@dataclass(frozen=True)
class ConsumerSettings:
    """What the consumer can be told. Without `smtp`, e-mail is simulated. A claim is held for `lease` seconds."""

    mongo_url: str = field(repr=False)
    rabbitmq_url: str = field(repr=False)
    smtp: SmtpServer | None = None
    mail_from: Address = field(default_factory=lambda: MAIL_FROM)
    log_level: str = "INFO"
    heartbeat_file: str = ""
    smtp_connections: int = 8
    threads: int = 4
    prefetch: int = 250
    lease: float = 60.0

    @property
    def start_within(self) -> float:
        """Return for how long (s) after a claim a notification may begin to be sent."""
        return self.lease - TO_SEND


@dataclass(frozen=True)
class DeadLetterSettings:
    """What the dead-letter command can be told."""

    rabbitmq_url: str = field(repr=False)


def load() -> Settings:
    """Read the settings of the web service; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = Settings(
        mongo_url=environment.mongo_url(),
        jwks_url=environment.http_url("JWKS_URL"),
        **environment.web(),
    )
    environment.check()
    return settings


def load_consumer() -> ConsumerSettings:
    """Read the settings of the consumer and of the audit; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = ConsumerSettings(
        mongo_url=environment.mongo_url(),
        rabbitmq_url=environment.rabbitmq_url(),
        smtp=_smtp(environment),
        mail_from=environment.parsed(
            "MAIL_FROM", MAIL_FROM, _sender, 'one address such as shop@example.com or "Shop, Inc" <shop@example.com>'
        ),
        log_level=environment.log_level(),
        heartbeat_file=environment.file("HEARTBEAT_FILE"),
        smtp_connections=environment.number("SMTP_CONNECTIONS", ConsumerSettings.smtp_connections, at_least=1),
        threads=environment.number("CONSUMER_THREADS", ConsumerSettings.threads, at_least=1),
        prefetch=environment.number("PREFETCH", ConsumerSettings.prefetch, at_least=1, at_most=LARGEST_PREFETCH),
        lease=environment.seconds("LEASE_SECONDS", ConsumerSettings.lease, at_least=SHORTEST_LEASE),
    )
    environment.check()
    return settings


def load_dead_letters() -> DeadLetterSettings:
    """Read the settings of the dead-letter command; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = DeadLetterSettings(rabbitmq_url=environment.rabbitmq_url())
    environment.check()
    return settings


def _smtp(environment: Environment) -> SmtpServer | None:
    helo = environment.parsed("SMTP_HELO", None, client_name, "a full host name, or an address such as [192.0.2.1]")
    url = environment.secret("SMTP_URL", "")
    try:
        return SmtpServer.from_url(url, helo) if url else None
    except ValueError:
        environment.refuse(
            "SMTP_URL must look like smtp://user:password@host:587?starttls=true or smtps://host, "
            "user and password in ASCII, special characters in them percent-encoded"
        )
        return None


def _sender(text: str) -> Address:
    """Return the mailbox that e-mail comes from; its local part in ASCII, or every mail would need SMTPUTF8."""
    sender = mailbox(text)
    if not sender.username.isascii():
        raise ValueError("not an ASCII local part")
    return sender
