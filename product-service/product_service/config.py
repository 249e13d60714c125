"""The settings of product-service."""

import re
from typing import Annotated

from pydantic import AfterValidator

from chassis.config import HttpUrl, WebSettings


def _check_currency(code: str) -> str:
    if not re.fullmatch("[A-Z]{3}", code):
        raise ValueError("must be three capital letters (ISO 4217)")
    return code


class Settings(WebSettings):
    """The settings of the web service."""

    jwks_url: HttpUrl
    currency: Annotated[str, AfterValidator(_check_currency)] = "EUR"
    demo_products: bool = False
