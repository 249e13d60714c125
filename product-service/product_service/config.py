"""The settings of product-service, from its environment."""

import os
from dataclasses import dataclass

from chassis.settings import Environment, one_secret


@dataclass(frozen=True)
class Settings:
    """What product-service can be told."""

    mongo_url: str
    jwks_url: str
    jwt_issuer: str = "user-service"
    jwt_audience: str = "shop"
    currency: str = "EUR"
    demo_products: bool = False
    log_level: str = "INFO"
    trusted_proxies: int = 0
    cors_origins: tuple[str, ...] = ()


def load() -> Settings:
    """Read the settings; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = Settings(
        mongo_url=environment.secret("MONGO_URL"),
        jwks_url=environment.text("JWKS_URL"),
        jwt_issuer=environment.text("JWT_ISSUER", Settings.jwt_issuer),
        jwt_audience=environment.text("JWT_AUDIENCE", Settings.jwt_audience),
        currency=environment.text("CURRENCY", Settings.currency),
        demo_products=environment.flag("DEMO_PRODUCTS"),
        log_level=environment.text("LOG_LEVEL", Settings.log_level),
        trusted_proxies=environment.number("TRUSTED_PROXIES", Settings.trusted_proxies),
        cors_origins=environment.origins("CORS_ORIGINS"),
    )
    environment.check()
    return settings


def load_mongo_url() -> str:
    """Read only the URL of the database, for commands that need nothing else."""
    return one_secret(os.environ, "MONGO_URL")
