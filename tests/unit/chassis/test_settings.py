"""Settings are read strictly, and all that is wrong is said at once."""

import importlib
import runpy

import pytest

from chassis.config import ConfigurationError, Environment
from tools.paths import ROOT


def complaints(environment: Environment) -> str:
    with pytest.raises(ConfigurationError) as stopped:
        environment.check()
    return str(stopped.value)


def test_values_are_read() -> None:
    environment = Environment({"A": "text", "N": "3", "S": "0.5", "F": "True", "L": "a, b,,c"})
    assert environment.text("A") == "text"
    assert environment.number("N", 1) == 3
    assert environment.seconds("S", 1) == 0.5
    assert environment.flag("F") is True
    assert environment.listing("L") == ("a", "b", "c")
    environment.check()


def test_defaults_stand_in_for_what_is_not_set_or_empty() -> None:
    environment = Environment({"A": "", "N": "", "S": "", "F": "", "L": ""})
    assert environment.text("A", "default") == "default"
    assert environment.number("N", 7) == 7
    assert environment.seconds("S", 1.5) == 1.5
    assert environment.flag("F", True) is True
    assert environment.listing("L") == ()
    environment.check()


def test_every_missing_variable_is_named_in_one_message() -> None:
    environment = Environment({"THIRD": ""})
    environment.text("FIRST")
    environment.secret("SECOND")
    environment.text("THIRD")
    environment.refuse("FOURTH is odd")
    expected = "configuration: FIRST is not set; SECOND is not set; THIRD is not set; FOURTH is odd"
    assert complaints(environment) == expected


@pytest.mark.parametrize("value", ["x", "1.5", "-1", "1e3", "0x10", "NaN"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    environment = Environment({"N": value})
    assert environment.number("N", 5) == 5
    assert complaints(environment) == f"configuration: N must be a whole number of at least 0, not {value!r}"


def test_a_number_below_its_bound_is_refused() -> None:
    environment = Environment({"N": "9"})
    environment.number("N", 20, at_least=10)
    assert complaints(environment) == "configuration: N must be a whole number of at least 10, not '9'"


@pytest.mark.parametrize("value", ["x", "0", "-1", "inf", "nan"])
def test_a_duration_must_be_finite_and_above_zero(value: str) -> None:
    environment = Environment({"S": value})
    assert environment.seconds("S", 5) == 5
    assert complaints(environment) == f"configuration: S must be a number of seconds above 0, not {value!r}"


@pytest.mark.parametrize("value", ["yes", "1", "on", "tru"])
def test_a_switch_is_true_or_false(value: str) -> None:
    environment = Environment({"F": value})
    environment.flag("F")
    assert complaints(environment) == f"configuration: F must be true or false, not {value!r}"


@pytest.mark.parametrize(("value", "level"), [("", "INFO"), ("debug", "DEBUG"), ("WARNING", "WARNING")])
def test_the_level_of_logs_is_read_whatever_its_case(value: str, level: str) -> None:
    environment = Environment({"LOG_LEVEL": value})
    assert environment.log_level() == level
    environment.check()


def test_a_level_that_does_not_exist_is_refused() -> None:
    environment = Environment({"LOG_LEVEL": "loud"})
    environment.web()
    expected = "configuration: LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'"
    assert complaints(environment) == expected


@pytest.mark.parametrize("service", ["user", "product", "order", "notification"])
def test_the_settings_of_a_web_service_tell_no_secret(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGO_URL", "CLIENT_SECRET", "RABBITMQ_URL"):
        monkeypatch.setenv(name, "mongodb://shop:secret@host/shop")
    monkeypatch.setenv("SERVICE_CLIENTS", "order-service:secretsecret")
    for name in ("JWKS_URL", "TOKEN_URL", "PRODUCT_SERVICE_URL"):
        monkeypatch.setenv(name, "http://host")
    settings = importlib.import_module(f"{service}_service.config").load()
    assert "secret" not in repr(settings)
    assert settings.jwt_audience == "shop"


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("mongo_url", "mongodb://u:pw@h1:27017,h2:27017/shop?replicaSet=rs0"),
        ("mongo_url", "mongodb+srv://u:pw@cluster.example.com/shop"),
        ("mongo_url", "mongodb://h/shop?authmechanism=MONGODB-X509&tls=true"),
        ("mongo_url", "mongodb://u:p%23%40w#@db1:27017,[fd00::2]:27017/shop?useUnifiedTopology=true"),
        ("rabbitmq_url", "amqps://u:pw@[::1]:5671/%2F?heartbeat=5"),
        ("http_url", "https://users.example.com/jwks.json"),
    ],
)
def test_a_url_that_can_be_used_is_taken_as_it_is(read: str, value: str) -> None:
    environment = Environment({"URL": value})
    assert getattr(environment, read)("URL") == value
    environment.check()


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


@pytest.mark.parametrize(("read", "value"), [(read, value) for read, values in BAD_URLS.items() for value in values])
def test_a_url_that_cannot_be_used_is_named_and_not_repeated(read: str, value: str) -> None:
    environment = Environment({"URL": value})
    getattr(environment, read)("URL")
    message = complaints(environment)
    assert message.startswith("configuration: URL must look like ")
    assert value not in message


@pytest.mark.parametrize(("read", "value"), [("mongo_url", "mongodb://db/shop"), ("rabbitmq_url", "amqp://rabbitmq/")])
def test_production_asks_for_an_account(read: str, value: str) -> None:
    environment = Environment({"URL": value})
    getattr(environment, read)("URL")
    expected = "configuration: URL has no user and password, which ENVIRONMENT=production asks for"
    assert complaints(environment) == expected
    development = Environment({"URL": value, "ENVIRONMENT": "development"})
    assert getattr(development, read)("URL") == value
    development.check()


@pytest.mark.parametrize("value", ["eur", "EURO", "€", "E1R", "EUR "])
def test_a_currency_is_three_capital_letters(value: str) -> None:
    environment = Environment({"CURRENCY": value})
    assert environment.currency("CURRENCY", "EUR") == "EUR"
    assert complaints(environment).startswith("configuration: CURRENCY must be three capital letters (ISO 4217)")


@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "WEB_THREADS"])
def test_gunicorn_names_a_number_that_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(ConfigurationError, match=f"configuration: {name} must be a whole number of at least 1"):
        runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))


@pytest.mark.parametrize("value", ["demo-secret", "admin-password", "mongodb://guest:guest@host/"])
def test_production_refuses_the_secrets_of_the_demo_without_repeating_them(value: str) -> None:
    environment = Environment({"SECRET": value})
    environment.secret("SECRET")
    message = complaints(environment)
    assert message == "configuration: SECRET has a demo value, which ENVIRONMENT=production does not accept"
    assert value not in message


def test_development_accepts_the_secrets_of_the_demo() -> None:
    environment = Environment({"SECRET": "demo-secret", "ENVIRONMENT": "development"})
    assert environment.secret("SECRET") == "demo-secret"
    environment.check()


def test_what_is_not_called_development_counts_as_production() -> None:
    assert Environment({}).production
    assert Environment({"ENVIRONMENT": "staging"}).production


def test_the_process_stops_with_the_message() -> None:
    assert issubclass(ConfigurationError, SystemExit)
