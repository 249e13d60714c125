"""Settings from environment variables, by pydantic-settings. Each service declares its own in `config.py`.

A program whose settings are missing or wrong names all of them in one line and stops. No message repeats a value.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasGenerator, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chassis import mongo
from chassis.urls import split_url

DEMO_SECRETS = ("demo-", "admin-password", "guest")  # production refuses a value that contains one of these
MAX_NUMBER = 1_000_000  # of seconds, days or requests: dates and the database can hold this many

# Where `./dev up` and docker compose serve the storefront, by both names of this machine.
DEVELOPMENT_ORIGINS = ("http://localhost:8080", "http://127.0.0.1:8080")

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


class ConfigurationError(SystemExit):
    """A setting is missing or wrong. Derived from `SystemExit`: the message is printed and the process stops."""


class EnvironmentSettings(BaseSettings):
    """Settings of one program: the field `mongo_url` is read from `MONGO_URL`. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=str.upper),
        case_sensitive=True,  # a variable `environment` must not replace ENVIRONMENT
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=False,
    )

    environment: str = "production"  # every value but "development" means production

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises ConfigurationError, which names every setting that is missing or wrong."""
        try:
            return cls()
        except ValidationError as exc:
            raise ConfigurationError("configuration: " + "; ".join(map(_error_message, exc.errors()))) from None


def _error_message(error: Any) -> str:
    variable = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{variable} is not set"
    reason = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return f"{variable} {reason}"


def is_production(info: ValidationInfo) -> bool:
    """Return whether the settings under validation belong to production."""
    return info.data.get("environment") != "development"


def refuse_demo_value() -> ValueError:
    """Return the error for a setting with a value of the demo."""
    return ValueError("has a demo value, which ENVIRONMENT=production does not accept")


def check_secret(value: str, info: ValidationInfo) -> str:
    """Return a secret. Raises ValueError in production for a secret of the demo, which everybody knows."""
    if is_production(info) and any(demo in value for demo in DEMO_SECRETS):
        raise refuse_demo_value()
    return value


def _check_account(has_account: bool, info: ValidationInfo) -> None:
    """Raise ValueError in production for a URL without an account: clients use a well-known account by default."""
    if is_production(info) and not has_account:
        raise ValueError("has no user and password, which ENVIRONMENT=production requires")


def _check_mongo_url(value: str, info: ValidationInfo) -> str:
    try:
        has_database, has_account = mongo.has_database_and_credentials(value)
    except ValueError:
        has_database = has_account = False
    if not has_database:
        raise ValueError("must look like mongodb://user:password@host:27017/database?replicaSet=rs0")
    _check_account(has_account, info)
    return value


def _check_rabbitmq_url(value: str, info: ValidationInfo) -> str:
    from chassis import amqp  # imported here because the image of a service without RabbitMQ has no pika

    parts = split_url(value, "amqp", "amqps")
    if not parts or not amqp.is_url(value):
        raise ValueError("must look like amqp://user:password@host:5672/%2F, with options of pika")
    _check_account(bool(parts.username and parts.password), info)
    return value


def _check_http_url(value: str) -> str:
    parts = split_url(value, "http", "https")
    if not parts or parts.username:
        raise ValueError("must look like http://host:5000/path")
    return value


def _check_folder(value: str) -> str:
    if not Path(value).parent.is_dir():
        raise ValueError("must be a file in a folder that exists")
    return value


def comma_separated(value: Any) -> Any:
    """Return the parts of a text between its commas, without blanks; any other value as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _default_origins(value: Any, info: ValidationInfo) -> Any:
    """Return the value, and for a setting that is not set the storefront's origins in development, else none."""
    if value is not None:
        return value
    return () if is_production(info) else DEVELOPMENT_ORIGINS


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError("must be origins such as https://shop.example.com, separated by commas")
    return origins


Secret = Annotated[str, AfterValidator(check_secret), Field(repr=False)]
MongoUrl = Annotated[Secret, AfterValidator(_check_mongo_url)]
RabbitMqUrl = Annotated[Secret, AfterValidator(_check_rabbitmq_url)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)]
NewFile = Annotated[str, AfterValidator(_check_folder)]
Origins = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(comma_separated),
    BeforeValidator(_default_origins),  # runs before the one above
    AfterValidator(_check_origins),
]
PositiveInt = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Seconds = Annotated[float, Field(gt=0, le=MAX_NUMBER, allow_inf_nan=False)]


class DatabaseSettings(EnvironmentSettings):
    """The settings of a program that needs a database and nothing else."""

    mongo_url: MongoUrl


class TelemetrySettings(EnvironmentSettings):
    """What a program tells about itself: its logs and, with a collector, its traces.

    OpenTelemetry's SDK reads further variables, for example OTEL_EXPORTER_OTLP_HEADERS and OTEL_RESOURCE_ATTRIBUTES.
    """

    log_level: LogLevel = "INFO"
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    otel_exporter_otlp_timeout: Seconds = 2.0
    otel_traces_sampler_arg: float | None = Field(None, ge=0, le=1)
    otel_sdk_disabled: bool = False

    @property
    def collector(self) -> str | None:
        """Return the URL of the collector of traces, None without one."""
        return None if self.otel_sdk_disabled else self.otel_exporter_otlp_endpoint

    @property
    def sampling_ratio(self) -> float:
        """Return the share of traces to record: in development all, else a tenth."""
        if self.otel_traces_sampler_arg is not None:
            return self.otel_traces_sampler_arg
        return 1.0 if self.environment == "development" else 0.1


class BackgroundSettings(DatabaseSettings, TelemetrySettings):
    """The settings of every program that serves no HTTP: its database, its heartbeat, the port of its metrics."""

    heartbeat_file: NewFile = ""
    metrics_host: str = "0.0.0.0"  # noqa: S104 (in a container, Prometheus comes from outside)  # nosec B104
    metrics_port: int = Field(0, ge=0, le=65535)  # 0: its metrics are not served


class WebSettings(DatabaseSettings, TelemetrySettings):
    """The settings of every web service: its database, the issuer and audience of tokens, logs, proxies, browsers."""

    jwt_issuer: str = "user-service"
    jwt_audience: str = "shop"
    web_threads: PositiveInt = 8
    trusted_proxies: int = Field(0, ge=0)
    cors_origins: Origins = Field(None, validate_default=True)  # None: not set
