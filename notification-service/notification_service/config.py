"""The settings of notification-service, its consumer and its dead-letter command."""

from email.headerregistry import Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

import chassis
from chassis.config import (
    BackgroundSettings,
    EnvironmentSettings,
    HttpUrl,
    PositiveInt,
    RabbitMqUrl,
    Seconds,
    Secret,
    WebSettings,
)
from notification_service.addresses import client_name, mailbox
from notification_service.channels import SMTP_TIMEOUT
from notification_service.model import Shop
from notification_service.smtp_connection import SmtpServer

TOPOLOGY_FILE = Path(chassis.__file__).resolve().parent.parent / "contracts" / "topology.json"
MAIL_FROM = Address(username="shop", domain="example.com")
TO_SEND = SMTP_TIMEOUT + 2  # s of a lease that must be left when sending begins
MIN_LEASE = TO_SEND + 8  # s; a lease begins before its write, which takes at most 8 s (chassis.mongo)
PREFETCH = 250  # unacknowledged messages at most: those of the batches in work and of the next batch
MAX_SHOP_NAME, MAX_SHOP_ADDRESS = 100, 500  # characters: a footer, not a text
MAX_PREFETCH = 65535  # AMQP has 16 bits for it


def _check_smtp_url(url: str) -> str:
    try:
        SmtpServer.from_url(url)
    except ValueError:
        raise ValueError(
            "must look like smtp://user:password@host:587?starttls=true or smtps://host, "
            "user and password in ASCII, special characters in them percent-encoded"
        ) from None
    return url


def _check_lease(seconds: float) -> float:
    if seconds < MIN_LEASE:
        raise ValueError(f"must be at least {MIN_LEASE:g}")
    return seconds


def _read_client_name(name: str) -> str:
    try:
        return client_name(name)
    except ValueError:
        raise ValueError("must be a full host name, or an address such as [192.0.2.1]") from None


def _read_sender(value: object) -> object:
    """Read the mailbox of the sender. Its local part must be ASCII: otherwise every mail would need SMTPUTF8."""
    try:
        sender = mailbox(value) if isinstance(value, str) else value
    except ValueError:
        sender = None
    if not isinstance(sender, Address) or not sender.username.isascii():
        raise ValueError('must be one address such as shop@example.com or "Shop, Inc" <shop@example.com>')
    return sender


def _check_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _read_lines(value: object) -> object:
    """Read the lines of an address, without the empty ones."""
    if not isinstance(value, str):
        return value
    lines = tuple(line.strip() for line in value.splitlines() if line.strip())
    if len(value) > MAX_SHOP_ADDRESS or not all(map(str.isprintable, lines)):
        raise ValueError(f"must be at most {MAX_SHOP_ADDRESS} characters without control characters")
    return lines


class Settings(WebSettings):
    """The settings of the web service."""

    jwks_url: HttpUrl


class DeadLetterSettings(EnvironmentSettings):
    """The settings of the dead-letter command."""

    rabbitmq_url: RabbitMqUrl


class ConsumerSettings(DeadLetterSettings, BackgroundSettings):
    """The settings of the consumer and of the audit. Without `smtp_url`, e-mail is simulated."""

    smtp_url: Annotated[Secret, AfterValidator(_check_smtp_url)] = ""
    smtp_helo: Annotated[str, AfterValidator(_read_client_name)] | None = None
    mail_from: Annotated[Address, BeforeValidator(_read_sender)] = MAIL_FROM
    shop_name: Annotated[str, Field(max_length=MAX_SHOP_NAME), AfterValidator(_check_printable)] = "Example Shop"
    shop_address: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_lines)] = ()
    smtp_connections: PositiveInt = 8
    consumer_threads: PositiveInt = 4
    prefetch: int = Field(PREFETCH, ge=1, le=MAX_PREFETCH)
    lease_seconds: Annotated[Seconds, AfterValidator(_check_lease)] = 60.0

    @property
    def smtp(self) -> SmtpServer | None:
        """Return the SMTP server, None if e-mail is simulated."""
        return SmtpServer.from_url(self.smtp_url, self.smtp_helo) if self.smtp_url else None

    @property
    def shop(self) -> Shop:
        """Return the shop that e-mails name."""
        return Shop(self.shop_name, self.shop_address)

    @property
    def start_within(self) -> float:
        """Return the time (s) after the beginning of a lease within which sending must begin."""
        return self.lease_seconds - TO_SEND
