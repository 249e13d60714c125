"""The settings of the provisioning, from the environment."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, ValidationInfo

from chassis.config import EnvironmentSettings, Seconds, Secret, is_production


@dataclass(frozen=True)
class Account:
    """A user of a server, and the database that belongs to this user."""

    name: str
    password: str = field(repr=False)
    database: str = ""

    @classmethod
    def of_url(cls, url: str) -> "Account":
        """Return the account of a URL. Raises ValueError if the URL has none."""
        parts = urlsplit(url)
        if not parts.username or not parts.password:
            raise ValueError("names no user and password")
        return cls(unquote(parts.username), unquote(parts.password), unquote(parts.path.lstrip("/")))


def _check_administrator(url: str, info: ValidationInfo) -> str:
    if is_production(info) and "authmechanism=" not in url.lower():
        Account.of_url(url)
    return url


def _check_account(url: str) -> str:
    Account.of_url(url)
    return url


def _check_database(url: str) -> str:
    if not Account.of_url(url).database:
        raise ValueError("names no database")
    return url


AdministratorUrl = Annotated[Secret, AfterValidator(_check_administrator)]
BrokerUrl = Annotated[Secret, AfterValidator(_check_account)]
DatabaseUrl = Annotated[Secret, AfterValidator(_check_database)]


class BackupSettings(EnvironmentSettings):
    """The administrator's URL of the MongoDB server that is backed up or restored."""

    mongo_url: AdministratorUrl


class ProvisioningSettings(EnvironmentSettings):
    """The administrators' URLs of the two servers, and the URLs of the services, whose accounts are created."""

    mongo_url: AdministratorUrl
    rabbitmq_url: AdministratorUrl
    rabbitmq_management_url: str = ""
    user_service_mongo_url: DatabaseUrl
    product_service_mongo_url: DatabaseUrl
    order_service_mongo_url: DatabaseUrl
    notification_service_mongo_url: DatabaseUrl
    order_service_rabbitmq_url: BrokerUrl
    notification_service_rabbitmq_url: BrokerUrl
    dashboard_user: str = ""
    dashboard_password: Secret = ""
    provision_deadline: Seconds = 120.0

    @property
    def database_accounts(self) -> list[Account]:
        """Return the account of each service that has a database."""
        return [Account.of_url(str(url)) for name, url in self if name.endswith("_service_mongo_url")]

    @property
    def management_url(self) -> str:
        """Return the URL of RabbitMQ's management API, by default on the broker's host."""
        return self.rabbitmq_management_url or f"http://{urlsplit(self.rabbitmq_url).hostname}:15672"

    @property
    def dashboard(self) -> Account | None:
        """Return the account for the RabbitMQ dashboard, None without one."""
        account = Account(self.dashboard_user, self.dashboard_password)
        return account if account.name and account.password else None


class BrokerSettings(EnvironmentSettings):
    """The administrator's URL of the broker, for a command that needs nothing else."""

    rabbitmq_url: AdministratorUrl
