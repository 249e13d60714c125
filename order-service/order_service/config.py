"""The settings of order-service and its worker."""

import socket
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from chassis.config import (
    MAX_NUMBER,
    BackgroundSettings,
    DatabaseSettings,
    HttpUrl,
    PositiveInt,
    RabbitMqUrl,
    Seconds,
    Secret,
    WebSettings,
    is_production,
)

MAX_BATCH = 10_000  # orders that a worker holds in memory at once


class PaymentSettings(DatabaseSettings):
    """Which payment provider order-service uses, and how long an unpaid order is kept."""

    payment_provider: Literal["none", "simulated", "stripe"] = "none"
    payment_minutes: float = Field(30.0, ge=0, le=MAX_NUMBER, allow_inf_nan=False)  # 0: an unpaid order may stay
    payment_faults: float = Field(0.0, ge=0, le=1)  # of the simulated provider: the share of calls that fail
    stripe_api_key: Secret = Field("", validate_default=True)
    stripe_webhook_secret: Secret = ""
    stripe_api_base: HttpUrl = "https://api.stripe.com"

    @field_validator("payment_provider")
    @classmethod
    def _takes_money(cls, provider: str, info: ValidationInfo) -> str:
        if provider == "simulated" and is_production(info):
            raise ValueError("simulated takes no money, so ENVIRONMENT=production does not accept it")
        return provider

    @field_validator("stripe_api_base")
    @classmethod
    def _is_encrypted(cls, url: str, info: ValidationInfo) -> str:
        if is_production(info) and not url.startswith("https://"):
            raise ValueError("must begin with https://: the key is sent there")
        return url

    @field_validator("stripe_api_key")
    @classmethod
    def _is_there(cls, key: str, info: ValidationInfo) -> str:
        if info.data.get("payment_provider") == "stripe" and not key:
            raise ValueError("is not set, but PAYMENT_PROVIDER is stripe")
        return key


class ProductServiceSettings(DatabaseSettings):
    """How order-service reaches product-service, and with which account it gets a token for that."""

    product_service_url: HttpUrl
    token_url: HttpUrl
    client_id: str = "order-service"
    client_secret: Secret


class RecoverySettings(ProductServiceSettings, PaymentSettings):
    """The settings of the recovery after a restore."""


class Settings(ProductServiceSettings, PaymentSettings, WebSettings):
    """The settings of the web service."""

    jwks_url: HttpUrl


class WorkerSettings(ProductServiceSettings, PaymentSettings, BackgroundSettings):
    """The settings of the worker."""

    rabbitmq_url: RabbitMqUrl
    poll_seconds: Seconds = 0.1
    worker_name: str = Field(default_factory=socket.gethostname)  # of its own for each worker that takes a share
    worker_batch: int = Field(100, ge=1, le=MAX_BATCH)  # orders per round and kind of work
    worker_payment_threads: PositiveInt = 4  # a provider takes up to a second; after an outage many payments wait
