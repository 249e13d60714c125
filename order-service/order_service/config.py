"""The settings of order-service and its worker."""

from chassis.config import (
    DatabaseSettings,
    HttpUrl,
    LogLevel,
    NewFile,
    PositiveInt,
    RabbitMqUrl,
    Seconds,
    Secret,
    WebSettings,
)


class ProductServiceSettings(DatabaseSettings):
    """How order-service reaches product-service, and with which account it gets a token for that."""

    product_service_url: HttpUrl
    token_url: HttpUrl
    client_id: str = "order-service"
    client_secret: Secret


class Settings(ProductServiceSettings, WebSettings):
    """The settings of the web service."""

    jwks_url: HttpUrl
    web_threads: PositiveInt = 8


class WorkerSettings(ProductServiceSettings):
    """The settings of the worker."""

    rabbitmq_url: RabbitMqUrl
    log_level: LogLevel = "INFO"
    poll_seconds: Seconds = 0.1
    heartbeat_file: NewFile = ""
