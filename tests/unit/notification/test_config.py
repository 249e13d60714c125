"""The settings of notification-service: missing ones are named, and passwords are not sent in the clear."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.config import ConfigurationError
from notification_service import config, topology
from notification_service.channels import SMTP_TIMEOUT
from notification_service.model import Shop
from notification_service.smtp_connection import SmtpServer
from notification_service.topology import Topology

Load = Callable[..., config.ConsumerSettings]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (config.Settings, "configuration: MONGO_URL is not set; JWKS_URL is not set"),
        (config.ConsumerSettings, "configuration: MONGO_URL is not set; RABBITMQ_URL is not set"),
        (config.DeadLetterSettings, "configuration: RABBITMQ_URL is not set"),
    ],
)
def test_each_process_names_its_missing_settings_and_no_others(settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}$"):
        settings.load()


def test_the_consumer_has_defaults_for_all_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://u:pw@x/n")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://u:pw@x")
    settings = config.ConsumerSettings.load()
    assert settings == config.ConsumerSettings(mongo_url="mongodb://u:pw@x/n", rabbitmq_url="amqp://u:pw@x")
    assert config.TOPOLOGY_FILE.is_file()


def test_production_refuses_the_broker_account_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://guest:guest@rabbitmq")
    with pytest.raises(ConfigurationError, match="RABBITMQ_URL has a demo value"):
        config.DeadLetterSettings.load()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer("mail", 587)),
        ("smtp://mail:25?starttls=true", SmtpServer("mail", 25, starttls=True)),
        ("smtp://ana:p%40ss@mail:2525", SmtpServer("mail", 2525, "ana", "p@ss", starttls=True)),
        ("smtp://ana:pw@mail?starttls=false", SmtpServer("mail", 587, "ana", "pw")),
        ("smtps://ana:pw@mail", SmtpServer("mail", 465, "ana", "pw", tls=True)),
        ("smtp://mail_1/", SmtpServer("mail_1", 587)),
        ("smtp://[::1]:25", SmtpServer("::1", 25)),
        ("smtp://müller.example", SmtpServer("xn--mller-kva.example", 587)),
    ],
)
def test_smtp_urls(url: str, server: SmtpServer) -> None:
    assert SmtpServer.from_url(url) == server


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the consumer's settings with some variables set."""

    def load(**variables: str) -> config.ConsumerSettings:
        urls = {"MONGO_URL": "mongodb://u:pw@x/n", "RABBITMQ_URL": "amqp://u:pw@x"}
        for name, value in {**urls, **variables}.items():
            monkeypatch.setenv(name, value)
        return config.ConsumerSettings.load()

    return load


WRONG = {
    "SMTP_URL": [
        "http://mail",
        "mail:25",
        "smtp://",
        "smtp://mail:port",
        "smtp://mail:0",
        "smtp://mail:65536",
        "smtp://mail server",
        "smtp://mail..example",
        "smtp://-mail",
        "smtp://256.1.1.1",
        f"smtp://{'x' * 64}.example",
        "smtp://mail?starttls=yes",
        "smtp://mail?tls=true",
        "smtps://mail?starttls=true",
        "smtp://mail/inbox",
        "smtp://ana:12#34@mail",
        "smtp://ana@mail",
        "smtp://:secret@mail",
        "smtp://ana:gehe%C3%AFm@mail",
    ],
    "SMTP_HELO": ["shop", "a_b.example", "192.0.2.1", "[192.0.2.256]", "[::1]", "[IPv6:192.0.2.1]", "shop.example\n"],
    "MAIL_FROM": [
        "Shop, Inc <shop@example.com>",
        "shop@example.com, b@example.com",
        "Shop: shop@example.com;",
        "shop",
        "shop@",
        "@example.com",
        "<shop@example.com",
        "shop@example.com\nBcc: x@example.com",
        "shop@☕.example",
        "shop@a..example",
        "jörg@example.com",
        f"{'x' * 1000} <shop@example.com>",
    ],
    "LEASE_SECONDS": ["0", "15", "24.9", "nan", "inf", "long"],
    "PREFETCH": ["0", "65536", "many"],
    "CONSUMER_THREADS": ["0", "-1"],
    "SMTP_CONNECTIONS": ["0", "-1"],
    "HEARTBEAT_FILE": ["/no/such/folder/heartbeat"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_stops_the_consumer_and_is_named(name: str, value: str, consumer: Load) -> None:
    with pytest.raises(ConfigurationError, match=f"^configuration: {name} must [^\n]+$"):
        consumer(**{name: value})


def test_all_wrong_settings_are_named_at_once_and_no_secret_with_them(consumer: Load) -> None:
    with pytest.raises(ConfigurationError) as stopped:
        consumer(**{name: values[-1] for name, values in WRONG.items()}, LOG_LEVEL="loud")
    assert [name for name in (*WRONG, "LOG_LEVEL") if f"{name} must" not in str(stopped.value)] == []
    assert "gehe" not in str(stopped.value)


@pytest.mark.parametrize("name", ["shop.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]", "müller.example"])
def test_the_name_for_ehlo_can_be_set(name: str, consumer: Load) -> None:
    smtp = consumer(SMTP_URL="smtp://mail", SMTP_HELO=name).smtp
    assert smtp == SmtpServer("mail", 587, helo=name.replace("müller", "xn--mller-kva"))


def test_the_sender_is_one_mailbox(consumer: Load) -> None:
    sender = consumer(MAIL_FROM='"Shöp, Inc" <shop@müller.example>').mail_from
    assert (sender.display_name, sender.addr_spec) == ("Shöp, Inc", "shop@xn--mller-kva.example")


def test_a_lease_outlasts_the_longest_sending(consumer: Load) -> None:
    for settings, lease in ((consumer(), 60), (consumer(LEASE_SECONDS="25"), 25)):
        assert settings.lease_seconds == lease >= 8 + SMTP_TIMEOUT, "a claim takes up to 8 s to write"
        assert 8 <= settings.start_within < lease - SMTP_TIMEOUT


def test_a_password_is_not_shown_with_the_settings() -> None:
    assert "secret" not in repr(SmtpServer.from_url("smtp://ana:secret@mail"))


def test_retries_go_through_the_delays_in_growing_order_whatever_their_order_in_the_file(tmp_path: Path) -> None:
    delays = {"notifications.retry.b": 30, "notifications.retry.a": 500, "notifications.retry.c": 5}
    queues = [{"name": name, "arguments": {"x-message-ttl": ttl}} for name, ttl in delays.items()]
    file = tmp_path / "topology.json"
    file.write_text(json.dumps({"queues": [{"name": "notifications", "arguments": {}}, *queues]}))
    assert topology.load(file) == Topology(("notifications.retry.c", "notifications.retry.b", "notifications.retry.a"))


def test_after_the_last_delay_there_is_no_retry() -> None:
    queues = topology.load(config.TOPOLOGY_FILE)
    assert [queues.delay(attempts) for attempts in range(6)] == [
        "notifications.retry.5s",
        "notifications.retry.30s",
        "notifications.retry.2m",
        "notifications.retry.10m",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("variables", "shop"),
    [
        ({}, Shop("Example Shop")),
        ({"SHOP_NAME": "", "SHOP_ADDRESS": ""}, Shop("Example Shop")),
        ({"SHOP_NAME": "Mug & Söhne"}, Shop("Mug & Söhne")),
        ({"SHOP_ADDRESS": "1 Main Street, 1000 Brussels"}, Shop("Example Shop", ("1 Main Street, 1000 Brussels",))),
        ({"SHOP_ADDRESS": "\n Rue 1\r\n\n1000 Brussels\n"}, Shop("Example Shop", ("Rue 1", "1000 Brussels"))),
    ],
)
def test_the_shop_that_mails_name(consumer: Load, variables: dict[str, str], shop: Shop) -> None:
    assert consumer(**variables).shop == shop


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SHOP_NAME", "Two\nlines", "must be one line without control characters"),
        ("SHOP_NAME", "x" * 101, "String should have at most 100 characters"),
        ("SHOP_ADDRESS", "Rue \x1b1", "must be at most 500 characters without control characters"),
        ("SHOP_ADDRESS", "x" * 501, "must be at most 500 characters without control characters"),
    ],
)
def test_a_shop_that_fits_no_mail_is_refused(consumer: Load, variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^configuration: {variable} {message}$"):
        consumer(**{variable: value})
