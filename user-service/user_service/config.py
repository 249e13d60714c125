"""The settings of user-service, from its environment."""

import os
from dataclasses import dataclass, field

from chassis.config import Environment, WebSettings, only_mongo_url
from user_service.emails import canonical_email, check_email
from user_service.passwords import MAX_LENGTH, MIN_LENGTH, is_common

SHORTEST_CLIENT_SECRET = 8
LARGEST = 1_000_000  # seconds, days, requests a minute: beyond it lies what dates and the database cannot hold
DEMO_ADMIN = "admin@example.com"


@dataclass(frozen=True)
class Settings(WebSettings):
    """What user-service can be told. Secrets are left out of its representation, so that no log shows them."""

    mongo_url: str = field(repr=False)
    service_clients: dict[str, str] = field(repr=False)
    access_token_seconds: int = 900
    service_token_seconds: int = 3600
    refresh_token_days: int = 30
    admin_email: str = ""
    admin_password: str = field(default="", repr=False)
    registrations_per_minute: int = 60
    refreshes_per_minute: int = 300


def load() -> Settings:
    """Read the settings; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = Settings(
        mongo_url=environment.mongo_url(),
        service_clients=_service_clients(environment),
        access_token_seconds=_positive(environment, "ACCESS_TOKEN_SECONDS", Settings.access_token_seconds),
        service_token_seconds=_positive(environment, "SERVICE_TOKEN_SECONDS", Settings.service_token_seconds),
        refresh_token_days=_positive(environment, "REFRESH_TOKEN_DAYS", Settings.refresh_token_days),
        admin_email=_admin_email(environment),
        admin_password=environment.secret("ADMIN_PASSWORD", ""),
        registrations_per_minute=_positive(environment, "REGISTRATIONS_PER_MINUTE", Settings.registrations_per_minute),
        refreshes_per_minute=_positive(environment, "REFRESHES_PER_MINUTE", Settings.refreshes_per_minute),
        **environment.web(),
    )
    if settings.admin_email or settings.admin_password:
        _check_admin(environment, settings)
    environment.check()
    return settings


def load_mongo_url() -> str:
    """Read only the URL of the database, for commands that need nothing else."""
    return only_mongo_url(os.environ)


def _admin_email(environment: Environment) -> str:
    email = environment.text("ADMIN_EMAIL", "")
    try:
        return check_email(email) if email else ""
    except ValueError as exc:
        environment.refuse(f"ADMIN_EMAIL {exc}")
        return email


def _check_admin(environment: Environment, settings: Settings) -> None:
    if not settings.admin_email:
        environment.refuse("ADMIN_EMAIL must be set, as ADMIN_PASSWORD is")
    if canonical_email(settings.admin_email) == DEMO_ADMIN:
        environment.refuse_demo_value("ADMIN_EMAIL")
    if not MIN_LENGTH <= len(settings.admin_password) <= MAX_LENGTH:
        environment.refuse(f"ADMIN_PASSWORD must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    if is_common(settings.admin_password):
        environment.refuse("ADMIN_PASSWORD is one of the commonest passwords")


def _positive(environment: Environment, name: str, default: int) -> int:
    return environment.number(name, default, at_least=1, at_most=LARGEST)


def _service_clients(environment: Environment) -> dict[str, str]:
    """Read `SERVICE_CLIENTS`: `client:secret` pairs, separated by commas."""
    clients = {}
    for pair in environment.secret("SERVICE_CLIENTS").split(","):
        client, _, secret = pair.strip().partition(":")
        if client and len(secret) >= SHORTEST_CLIENT_SECRET:
            clients[client] = secret
        elif pair.strip():
            environment.refuse(
                f"SERVICE_CLIENTS must be client:secret,... with {SHORTEST_CLIENT_SECRET} characters each"
            )
    return clients
