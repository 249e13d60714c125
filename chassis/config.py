"""Reading settings from the environment; each service's `config.py` is the only place that does so.

A wrong or missing variable is reported with all others of its kind in one line, and the process stops.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from chassis import mongo

T = TypeVar("T")

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
DEMO_SECRETS = ("demo-", "admin-password", "guest")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """What every web service can be told: the issuer and audience of tokens, its logs, and who is in front of it."""

    jwt_issuer: str = "user-service"
    jwt_audience: str = "shop"
    log_level: str = "INFO"
    trusted_proxies: int = 0
    cors_origins: tuple[str, ...] = ()


class ConfigurationError(SystemExit):
    """A setting is missing or wrong. Derived from `SystemExit`: the message is printed and the process stops."""


class Environment:
    """Typed access to environment variables that collects complaints until `check` is called."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._complaints: list[str] = []
        self.production = self.text("ENVIRONMENT", "production") != "development"

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default it must be set and not empty."""
        value = self._variables.get(name) or default
        if value is None:
            self._complaints.append(f"{name} is not set")
        return value or ""

    def secret(self, name: str, default: str | None = None) -> str:
        """Return a secret, or a URL that holds one; in production the values of the demo are refused."""
        value = self.text(name, default)
        if any(demo in value for demo in DEMO_SECRETS):
            self.refuse_demo_value(name)
        return value

    def refuse_demo_value(self, name: str) -> None:
        """Complain in production that a variable has a value of the demo."""
        if self.production:
            self._complaints.append(f"{name} has a demo value, which ENVIRONMENT=production does not accept")

    def mongo_url(self, name: str = "MONGO_URL") -> str:
        """Return the URL of a database, with the database in its path."""
        value = self.secret(name)
        try:
            database, account = mongo.has_database_and_credentials(value) if value else (True, True)
        except ValueError:
            database = account = False
        if not database:
            self._complaints.append(f"{name} must look like mongodb://user:password@host:27017/database?replicaSet=rs0")
        elif not account:
            self._miss_account(name)
        return value

    def rabbitmq_url(self, name: str = "RABBITMQ_URL") -> str:
        """Return the URL of a RabbitMQ server."""
        from chassis import amqp  # not every service needs RabbitMQ's client

        value = self.secret(name)
        parts = _url(value, "amqp", "amqps")
        try:
            amqp.check_url(value)
        except ValueError:
            parts = None
        if value and not parts:
            self._complaints.append(f"{name} must look like amqp://user:password@host:5672/%2F, with options of pika")
        elif parts and not (parts.username and parts.password):
            self._miss_account(name)
        return value

    def http_url(self, name: str) -> str:
        """Return the URL of a service."""
        value = self.text(name)
        parts = _url(value, "http", "https")
        if value and (not parts or parts.username):
            self._complaints.append(f"{name} must look like http://host:5000/path")
        return value

    def currency(self, name: str, default: str) -> str:
        """Return a currency by its code (ISO 4217)."""
        return self._parse(name, default, str, re.compile("[A-Z]{3}").fullmatch, "three capital letters (ISO 4217)")

    def number(self, name: str, default: int, *, at_least: int = 0, at_most: int | None = None) -> int:
        """Return a whole number of at least `at_least`, and at most `at_most` if that is given."""
        meaning = f"a whole number of at least {at_least}" + (f" and at most {at_most}" if at_most else "")
        return self._parse(name, default, int, lambda n: at_least <= n <= (at_most or n), meaning)

    def seconds(self, name: str, default: float, *, at_least: float = 0) -> float:
        """Return a duration in seconds, above zero and of at least `at_least`."""
        meaning = f"a number of seconds of at least {at_least:g}" if at_least else "a number of seconds above 0"
        return self._parse(name, default, float, lambda s: 0 < s < float("inf") and s >= at_least, meaning)

    def file(self, name: str) -> str:
        """Return the path of a file to write, empty where it is not set; its folder must exist."""
        return self._parse(name, "", str, lambda path: Path(path).parent.is_dir(), "a file in a folder that exists")

    def parsed(self, name: str, default: T, parse: Callable[[str], T], meaning: str) -> T:
        """Return what `parse` makes of a text, which raises ValueError for what is not `meaning`."""
        return self._parse(name, default, parse, lambda _: True, meaning)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a switch, written `true` or `false`."""
        words = {"true": True, "false": False}
        return self._parse(name, default, lambda v: words[v.lower()], lambda _: True, "true or false")

    def listing(self, name: str) -> tuple[str, ...]:
        """Return the parts of a comma-separated list, empty where it is not set."""
        return tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def origins(self, name: str) -> tuple[str, ...]:
        """Return web origins (RFC 6454): scheme, host and port, as browsers write them."""
        found = self.listing(name)
        if not all(_ORIGIN.fullmatch(origin) for origin in found):
            self._complaints.append(f"{name} must be origins such as https://shop.example.com, separated by commas")
        return found

    def log_level(self) -> str:
        """Return `LOG_LEVEL`, one of Python's names for them."""
        return self._parse("LOG_LEVEL", "INFO", str.upper, LOG_LEVELS.__contains__, f"one of {', '.join(LOG_LEVELS)}")

    def web(self) -> dict[str, Any]:
        """Return the fields of `WebSettings`."""
        return {
            "jwt_issuer": self.text("JWT_ISSUER", WebSettings.jwt_issuer),
            "jwt_audience": self.text("JWT_AUDIENCE", WebSettings.jwt_audience),
            "log_level": self.log_level(),
            "trusted_proxies": self.number("TRUSTED_PROXIES", WebSettings.trusted_proxies),
            "cors_origins": self.origins("CORS_ORIGINS"),
        }

    def refuse(self, complaint: str) -> None:
        """Add a complaint of the caller's own."""
        self._complaints.append(complaint)

    def check(self) -> None:
        """Stop the process if anything was missing or wrong."""
        if self._complaints:
            raise ConfigurationError("configuration: " + "; ".join(self._complaints))

    def _miss_account(self, name: str) -> None:
        """Complain in production that a URL names no account: the client may have one by default."""
        if self.production:
            self._complaints.append(f"{name} has no user and password, which ENVIRONMENT=production asks for")

    def _parse(
        self, name: str, default: T, parse: Callable[[str], T], accepts: Callable[[T], object], meaning: str
    ) -> T:
        raw = self._variables.get(name)
        if not raw:
            return default
        try:
            value = parse(raw)
        except (ValueError, KeyError):
            value = None
        if value is None or not accepts(value):
            self._complaints.append(f"{name} must be {meaning}, not {raw!r}")
            return default
        return value


def only_mongo_url(variables: Mapping[str, str]) -> str:
    """Return `MONGO_URL`, for commands that need nothing else. Raises ConfigurationError."""
    environment = Environment(variables)
    value = environment.mongo_url()
    environment.check()
    return value


def _url(value: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes, a host and a sound port; None of anything else."""
    try:
        parts = urlsplit(value)
        return parts if parts.scheme in schemes and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None
