"""The settings of notification-service: what is missing is named, and passwords do not travel in the clear."""

import json
import os
from pathlib import Path

import pytest

from chassis.settings import ConfigurationError
from notification_service import config, topology
from notification_service.smtp import SmtpServer
from notification_service.topology import Topology


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (config.load, "configuration: MONGO_URL is not set; JWKS_URL is not set"),
        (config.load_consumer, "configuration: MONGO_URL is not set; RABBITMQ_URL is not set"),
        (config.load_dead_letters, "configuration: RABBITMQ_URL is not set"),
    ],
)
def test_each_process_names_what_it_lacks_and_asks_for_nothing_else(load: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}$"):
        load()  # type: ignore[operator]


def test_the_consumer_has_defaults_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://u:pw@x/n")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://u:pw@x")
    settings = config.load_consumer()
    assert settings == config.ConsumerSettings("mongodb://u:pw@x/n", "amqp://u:pw@x")
    assert config.TOPOLOGY_FILE.is_file()


def test_production_refuses_the_broker_account_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://guest:guest@rabbitmq")
    with pytest.raises(ConfigurationError, match="RABBITMQ_URL has a demo value"):
        config.load_dead_letters()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer("mail", 587)),
        ("smtp://mail:25?starttls=true", SmtpServer("mail", 25, starttls=True)),
        ("smtp://ana:p%40ss@mail:2525", SmtpServer("mail", 2525, "ana", "p@ss", starttls=True)),
        ("smtp://ana:pw@mail?starttls=false", SmtpServer("mail", 587, "ana", "pw")),
        ("smtps://ana:pw@mail", SmtpServer("mail", 465, "ana", "pw", tls=True)),
    ],
)
def test_smtp_urls(url: str, server: SmtpServer) -> None:
    assert SmtpServer.from_url(url) == server


@pytest.mark.parametrize(
    "url", ["http://mail", "mail:25", "smtp://", "smtp://mail:port", "smtp://mail?starttls=yes", "smtp://mail?tls=true"]
)
def test_a_wrong_smtp_url_stops_the_consumer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    with pytest.raises(ConfigurationError, match="SMTP_URL must look like smtp://"):
        config.load_consumer()


def test_a_password_is_not_shown_with_the_settings() -> None:
    assert "secret" not in repr(SmtpServer.from_url("smtp://ana:secret@mail"))


def test_retries_go_through_the_delays_in_growing_order_whatever_their_order_in_the_file(tmp_path: Path) -> None:
    delays = {"notifications.retry.b": 30, "notifications.retry.a": 500, "notifications.retry.c": 5}
    queues = [{"name": name, "arguments": {"x-message-ttl": ttl}} for name, ttl in delays.items()]
    file = tmp_path / "topology.json"
    file.write_text(json.dumps({"queues": [{"name": "notifications", "arguments": {}}, *queues]}))
    assert topology.load(file) == Topology(("notifications.retry.c", "notifications.retry.b", "notifications.retry.a"))


def test_after_the_last_delay_there_is_no_retry() -> None:
    known = topology.load(config.TOPOLOGY_FILE)
    assert [known.retry(attempts) for attempts in range(6)] == [
        "notifications.retry.5s",
        "notifications.retry.30s",
        "notifications.retry.2m",
        "notifications.retry.10m",
        None,
        None,
    ]
