"""The settings of notification-service, its consumer and its dead-letter command, from their environment."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import chassis
from chassis.settings import Environment, WebSettings
from notification_service.smtp import SmtpServer

TOPOLOGY_FILE = Path(chassis.__file__).resolve().parent.parent / "contracts" / "topology.json"


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
    mail_from: str = "shop@example.com"
    log_level: str = "INFO"
    heartbeat_file: str = ""
    threads: int = 4
    prefetch: int = 16
    lease: float = 30.0


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
        mail_from=environment.text("MAIL_FROM", ConsumerSettings.mail_from),
        log_level=environment.log_level(),
        heartbeat_file=environment.text("HEARTBEAT_FILE", ""),
        threads=environment.number("CONSUMER_THREADS", ConsumerSettings.threads, at_least=1),
        prefetch=environment.number("PREFETCH", ConsumerSettings.prefetch, at_least=1),
        lease=environment.seconds("LEASE_SECONDS", ConsumerSettings.lease),
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
    url = environment.secret("SMTP_URL", "")
    try:
        return SmtpServer.from_url(url) if url else None
    except ValueError:
        environment.refuse("SMTP_URL must look like smtp://user:password@host:587?starttls=true or smtps://host")
        return None
