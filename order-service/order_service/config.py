"""The settings of order-service and its worker, from their environment."""

import os
from dataclasses import dataclass, field

from chassis.config import Environment, WebSettings, only_mongo_url


@dataclass(frozen=True)
class Settings(WebSettings):
    """What order-service can be told."""

    mongo_url: str = field(repr=False)
    jwks_url: str
    product_service_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    web_threads: int = 8


@dataclass(frozen=True)
class WorkerSettings:
    """What the worker can be told. Times are in seconds."""

    mongo_url: str = field(repr=False)
    rabbitmq_url: str = field(repr=False)
    product_service_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    log_level: str = "INFO"
    poll_seconds: float = 0.1
    heartbeat_file: str = ""


def load() -> Settings:
    """Read the settings of the web service; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = Settings(
        mongo_url=environment.mongo_url(),
        jwks_url=environment.http_url("JWKS_URL"),
        product_service_url=environment.http_url("PRODUCT_SERVICE_URL"),
        token_url=environment.http_url("TOKEN_URL"),
        client_id=environment.text("CLIENT_ID", "order-service"),
        client_secret=environment.secret("CLIENT_SECRET"),
        **environment.web(),
        web_threads=environment.number("WEB_THREADS", Settings.web_threads, at_least=1),
    )
    environment.check()
    return settings


def load_worker() -> WorkerSettings:
    """Read the settings of the worker; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = WorkerSettings(
        mongo_url=environment.mongo_url(),
        rabbitmq_url=environment.rabbitmq_url(),
        product_service_url=environment.http_url("PRODUCT_SERVICE_URL"),
        token_url=environment.http_url("TOKEN_URL"),
        client_id=environment.text("CLIENT_ID", "order-service"),
        client_secret=environment.secret("CLIENT_SECRET"),
        log_level=environment.log_level(),
        poll_seconds=environment.seconds("POLL_SECONDS", WorkerSettings.poll_seconds),
        heartbeat_file=environment.file("HEARTBEAT_FILE"),
    )
    environment.check()
    return settings


def load_mongo_url() -> str:
    """Read only the URL of the database, for commands that need nothing else."""
    return only_mongo_url(os.environ)
