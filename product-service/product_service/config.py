"""The settings of product-service, from its environment."""

import os
from dataclasses import dataclass, field

from chassis.config import Environment, WebSettings, only_mongo_url


@dataclass(frozen=True)
class Settings(WebSettings):
    """What product-service can be told."""

    mongo_url: str = field(repr=False)
    jwks_url: str
    currency: str = "EUR"
    demo_products: bool = False


def load() -> Settings:
    """Read the settings; stops the process and names what is missing or wrong."""
    environment = Environment(os.environ)
    settings = Settings(
        mongo_url=environment.mongo_url(),
        jwks_url=environment.http_url("JWKS_URL"),
        currency=environment.currency("CURRENCY", Settings.currency),
        demo_products=environment.flag("DEMO_PRODUCTS"),
        **environment.web(),
    )
    environment.check()
    return settings


def load_mongo_url() -> str:
    """Read only the URL of the database, for commands that need nothing else."""
    return only_mongo_url(os.environ)
