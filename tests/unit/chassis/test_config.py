"""Settings are read strictly, and one message names everything that is wrong."""

import importlib
import os
import subprocess
import sys

import pytest

from chassis.config import (
    ConfigurationError,
    EnvironmentSettings,
    HttpUrl,
    MongoUrl,
    NewFile,
    PositiveInt,
    RabbitMqUrl,
    Seconds,
    Secret,
    WebSettings,
)
from tools.paths import ROOT

ACCOUNT = "mongodb://u:pw@h/shop"


class Sample(EnvironmentSettings):
    """One optional setting of each kind."""

    secret: Secret = ""
    http_url: HttpUrl = "http://default"
    mongo_url: MongoUrl = ACCOUNT
    rabbitmq_url: RabbitMqUrl = "amqp://u:pw@h/"
    number: PositiveInt = 5
    seconds: Seconds = 1.5
    flag: bool = False
    file: NewFile = ""


class Required(EnvironmentSettings):
    first: str
    second: Secret
    third: PositiveInt


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Sample:
    for name, value in variables.items():
        monkeypatch.setenv(name.upper(), value)
    return Sample.load()


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as stopped:
        load(monkeypatch, **variables)
    return str(stopped.value)


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, secret="text", number="3", seconds="0.5", flag="True")
    assert (settings.secret, settings.number, settings.seconds, settings.flag) == ("text", 3, 0.5, True)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, http_url="", number="", seconds="", flag="", file="")
    assert settings == Sample()
    assert (settings.http_url, settings.number, settings.seconds, settings.flag) == ("http://default", 5, 1.5, False)


def test_one_message_names_every_missing_or_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THIRD", "0")
    with pytest.raises(ConfigurationError) as stopped:
        Required.load()
    expected = "configuration: FIRST is not set; SECOND is not set; THIRD must be greater than or equal to 1"
    assert str(stopped.value) == expected


WRONG = {
    "number": ["x", "1.5", "-1", "0", "1e3", "0x10", "NaN", "9" * 30],
    "seconds": ["x", "0", "-1", "inf", "nan"],
    "flag": ["tru", "2", "-"],
    "file": ["/no/such/folder/file"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_that_is_out_of_range_or_of_another_type_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complaint(monkeypatch, **{name: value}).startswith(f"configuration: {name.upper()} must be ")


@pytest.mark.parametrize(("value", "level"), [("", "INFO"), ("debug", "DEBUG"), ("WARNING", "WARNING")])
def test_a_log_level_is_read_in_either_case(value: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", ACCOUNT)
    monkeypatch.setenv("LOG_LEVEL", value)
    assert WebSettings.load().log_level == level


def test_an_unknown_log_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", ACCOUNT)
    monkeypatch.setenv("LOG_LEVEL", "loud")
    levels = "'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"
    with pytest.raises(ConfigurationError, match=f"^configuration: LOG_LEVEL must be {levels}$"):
        WebSettings.load()


@pytest.mark.parametrize("service", ["user", "product", "order", "notification"])
def test_the_representation_of_settings_shows_no_secret(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGO_URL", "CLIENT_SECRET", "RABBITMQ_URL"):
        monkeypatch.setenv(name, "mongodb://shop:secret@host/shop")
    monkeypatch.setenv("SERVICE_CLIENTS", "order-service:secretsecret")
    for name in ("JWKS_URL", "TOKEN_URL", "PRODUCT_SERVICE_URL"):
        monkeypatch.setenv(name, "http://host")
    settings = importlib.import_module(f"{service}_service.config").Settings.load()
    assert "secret" not in repr(settings)
    assert settings.jwt_audience == "shop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mongo_url", "mongodb://u:pw@h1:27017,h2:27017/shop?replicaSet=rs0"),
        ("mongo_url", "mongodb+srv://u:pw@cluster.example.com/shop"),
        ("mongo_url", "mongodb://h/shop?authmechanism=MONGODB-X509&tls=true"),
        ("mongo_url", "mongodb://u:p%23%40w#@db1:27017,[fd00::2]:27017/shop?useUnifiedTopology=true"),
        ("rabbitmq_url", "amqps://u:pw@[::1]:5671/%2F?heartbeat=5"),
        ("http_url", "https://users.example.com/jwks.json"),
    ],
)
def test_a_usable_url_is_taken_as_it_is(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert getattr(load(monkeypatch, **{name: value}), name) == value


AMQP_OPTIONS = [
    f"amqp://u:pw@h/%2F?{options}"
    for options in (
        "heartbeat=abc",
        "unknown=1",
        "heartbeat=5&heartbeat=6",
        "frame_max=1",
        "ssl_options=x",
        "ssl_options=%7B",
        "ssl_options=1",
    )
]
BAD_URLS = {
    "mongo_url": [
        *("localhost", "http://h/shop", "mongodb://u:pw@h:27017", "mongodb:///shop", "mongodb://u:pw@h:x/shop"),
        *("mongodb://u:pw@h/", "mongodb://u:p:w@h/shop", "mongodb+srv://u:pw@h/"),
        "mongodb://u:pw@h/shop?tls=true&tlsCAFile=/nowhere",
    ],
    "rabbitmq_url": ["rabbit", "http://h", "amqp:///", "amqp://u:pw@h:x", "amqp://u:pw@h:0", *AMQP_OPTIONS],
    "http_url": ["users:5002", "ftp://users", "http:///", "http://u:pw@users", "http://users:99999"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_URLS.items() for value in values])
def test_an_unusable_url_is_named_and_not_repeated(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(monkeypatch, **{name: value})
    assert message.startswith(f"configuration: {name.upper()} must look like ")
    assert value not in message


@pytest.mark.parametrize(("name", "value"), [("mongo_url", "mongodb://db/shop"), ("rabbitmq_url", "amqp://rabbitmq/")])
def test_production_requires_an_account(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = f"configuration: {name.upper()} has no user and password, which ENVIRONMENT=production requires"
    assert complaint(monkeypatch, **{name: value}) == expected
    assert getattr(load(monkeypatch, environment="development", **{name: value}), name) == value


@pytest.mark.parametrize("value", ["eur", "EURO", "€", "E1R", "EUR "])
def test_a_currency_is_three_capital_letters(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGO_URL", "JWKS_URL"):
        monkeypatch.setenv(name, ACCOUNT if name == "MONGO_URL" else "http://host")
    monkeypatch.setenv("CURRENCY", value)
    with pytest.raises(ConfigurationError, match=r"^configuration: CURRENCY must be three capital letters"):
        importlib.import_module("product_service.config").Settings.load()


@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "WEB_THREADS"])
def test_gunicorn_names_a_wrong_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "many")
    command = (sys.executable, ROOT / "deploy" / "gunicorn.conf.py")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        f"configuration: {name} must be a valid integer, unable to parse string as an integer\n",
    )


@pytest.mark.parametrize("value", ["demo-secret", "admin-password", "mongodb://guest:guest@host/"])
def test_production_refuses_demo_secrets_without_repeating_them(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(monkeypatch, secret=value)
    assert message == "configuration: SECRET has a demo value, which ENVIRONMENT=production does not accept"
    assert value not in message


def test_development_accepts_demo_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, secret="demo-secret", environment="development").secret == "demo-secret"


def test_a_variable_in_lower_case_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENVIRONMENT", "production"), ("environment", "development")):  # the last would win
        monkeypatch.setenv(name, value)
    assert "does not accept" in complaint(monkeypatch, secret="demo-secret")


def test_every_environment_but_development_counts_as_production(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not accept" in complaint(monkeypatch, secret="demo-secret", environment="staging")


def test_the_process_stops_with_the_message() -> None:
    assert issubclass(ConfigurationError, SystemExit)
