"""The settings of user-service."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_settings import NoDecode

from chassis.config import (
    PositiveInt,
    Secret,
    WebSettings,
    check_secret,
    comma_separated,
    is_production,
    refuse_demo_value,
)
from user_service.emails import canonical_email, check_email
from user_service.passwords import MAX_LENGTH, MIN_LENGTH, is_common

MIN_CLIENT_SECRET = 8
DEMO_ADMIN = "admin@example.com"


def _check_admin_email(email: str, info: ValidationInfo) -> str:
    email = check_email(email) if email else ""
    if email and is_production(info) and canonical_email(email) == DEMO_ADMIN:
        raise refuse_demo_value()
    return email


def _check_admin_password(password: str, info: ValidationInfo) -> str:
    has_email = info.data.get("admin_email") != ""  # an invalid e-mail address is not in the data, but it is set
    if is_common(password):
        raise ValueError("is too common")
    if has_email and not password:
        raise ValueError("is not set, but ADMIN_EMAIL is")
    if has_email and not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    if password and not has_email:
        raise ValueError("needs ADMIN_EMAIL, which is not set")
    return password


def _read_clients(value: object, info: ValidationInfo) -> object:
    """Read `client:secret` pairs, separated by commas."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition(":") for pair in comma_separated(check_secret(value, info))]
    if not all(client and len(secret) >= MIN_CLIENT_SECRET for client, _, secret in pairs):
        raise ValueError(f"must be client:secret,... with at least {MIN_CLIENT_SECRET} characters in each secret")
    return {client: secret for client, _, secret in pairs}


class Settings(WebSettings):
    """The settings of the web service. `admin_email` and `admin_password` create the first administrator."""

    service_clients: Annotated[dict[str, str], NoDecode, BeforeValidator(_read_clients), Field(repr=False)]
    access_token_seconds: PositiveInt = 900
    service_token_seconds: PositiveInt = 3600
    refresh_token_days: PositiveInt = 30
    admin_email: Annotated[str, AfterValidator(_check_admin_email)] = ""
    admin_password: Annotated[Secret, AfterValidator(_check_admin_password)] = Field("", validate_default=True)
    registrations_per_minute: PositiveInt = 60
    refreshes_per_minute: PositiveInt = 300
