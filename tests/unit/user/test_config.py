"""The settings of user-service."""

import pytest

from chassis.config import ConfigurationError
from user_service import config

GOOD = {"MONGO_URL": "mongodb://u:pw@db/users", "SERVICE_CLIENTS": "order-service:a:long,other:secret-2"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ENVIRONMENT", "ADMIN_EMAIL", "ADMIN_PASSWORD", "MONGO_URL", "SERVICE_CLIENTS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def load(environment: pytest.MonkeyPatch, **variables: str) -> config.Settings:
    for name, value in variables.items():
        environment.setenv(name, value)
    return config.Settings.load()


def test_missing_settings_are_named(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"(?=.*MONGO_URL is not set)(?=.*SERVICE_CLIENTS is not set)"):
        load(environment)


def test_service_clients_are_pairs_of_id_and_secret(environment: pytest.MonkeyPatch) -> None:
    settings = load(environment, **{**GOOD, "SERVICE_CLIENTS": "order-service:a:longer, other:secret-2,"})
    assert settings.service_clients == {"order-service": "a:longer", "other": "secret-2"}


def test_no_secret_is_in_the_representation(environment: pytest.MonkeyPatch) -> None:
    settings = load(
        environment,
        MONGO_URL="mongodb://u:hidden-1@db/users",
        SERVICE_CLIENTS="a:hidden-2",
        ADMIN_EMAIL="a@example.com",
        ADMIN_PASSWORD="hidden-3",
    )
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("SERVICE_CLIENTS", "order-service", "SERVICE_CLIENTS must be"),
        ("SERVICE_CLIENTS", "order-service:short", "SERVICE_CLIENTS must be"),
        ("SERVICE_CLIENTS", "order-service:demo-secret", "SERVICE_CLIENTS has a demo value"),
        ("ADMIN_PASSWORD", "admin-password", "ADMIN_PASSWORD has a demo value"),
        ("ADMIN_PASSWORD", "Password1234", "ADMIN_PASSWORD is too common"),
        ("ADMIN_PASSWORD", "long-enough", "ADMIN_PASSWORD needs ADMIN_EMAIL"),
        ("ADMIN_EMAIL", "admin@localhost", "ADMIN_EMAIL must be an e-mail address"),
        ("ADMIN_EMAIL", "admin@127.0.0.1", "ADMIN_EMAIL must be an e-mail address"),
        ("ADMIN_EMAIL", "ADMIN@example.com ", "ADMIN_EMAIL has a demo value"),
        ("ADMIN_EMAIL", "admin@example.com", "ADMIN_PASSWORD is not set, but ADMIN_EMAIL is"),
        ("ACCESS_TOKEN_SECONDS", "0", "ACCESS_TOKEN_SECONDS must be"),
        ("REFRESH_TOKEN_DAYS", "9" * 30, "REFRESH_TOKEN_DAYS must be"),
        ("REFRESH_TOKEN_DAYS", "1.5", "REFRESH_TOKEN_DAYS must be"),
        ("REGISTRATIONS_PER_MINUTE", "many", "REGISTRATIONS_PER_MINUTE must be"),
    ],
)
def test_wrong_settings_are_named(environment: pytest.MonkeyPatch, variable: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load(environment, **{**GOOD, "SERVICE_CLIENTS": "order-service:long-enough", variable: value})


def test_the_address_of_the_administrator_is_read_as_at_registration(environment: pytest.MonkeyPatch) -> None:
    settings = load(
        environment,
        MONGO_URL=GOOD["MONGO_URL"],
        SERVICE_CLIENTS="order-service:long-enough",
        ADMIN_EMAIL=" boss@müller.example ",
        ADMIN_PASSWORD="long-enough",
    )
    assert settings.admin_email == "boss@müller.example"
