"""The settings of the provisioning, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MONGO_URLS = (
    "USER_SERVICE_MONGO_URL",
    "PRODUCT_SERVICE_MONGO_URL",
    "ORDER_SERVICE_MONGO_URL",
    "NOTIFICATION_SERVICE_MONGO_URL",
)
BROKER_URLS = ("ORDER_SERVICE_RABBITMQ_URL", "NOTIFICATION_SERVICE_RABBITMQ_URL")
DEMO_SECRETS = (
    "demo-",
    "admin-password",
    "guest",
)  # as in chassis.settings, which is in no image of deploy


@dataclass(frozen=True)
class Account:
    """A user of a server; `scope` is the database that is theirs, or nothing."""

    name: str
    password: str
    scope: str = ""

    @classmethod
    def of_url(cls, variable: str, url: str) -> "Account":
        """Read the account that a service's URL names."""
        parts = urlsplit(url)
        if not parts.username or not parts.password:
            raise SystemExit(f"{variable} names no user and password")
        return cls(unquote(parts.username), unquote(parts.password), unquote(parts.path.lstrip("/")))


@dataclass(frozen=True)
class Settings:
    """What the provisioning connects to as administrator, and the accounts that it makes."""

    mongo_url: str
    rabbitmq_url: str
    management_url: str
    databases: tuple[Account, ...]
    order_service: Account
    notification_service: Account
    dashboard: Account | None
    deadline: float

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "Settings":
        """Read the settings; stops naming every variable that is missing, or of the demo in production."""
        required = ("MONGO_URL", "RABBITMQ_URL", *MONGO_URLS, *BROKER_URLS)
        missing = [name for name in required if not variables.get(name)]
        if missing:
            raise SystemExit(f"not set: {', '.join(missing)}")
        if variables.get("ENVIRONMENT") != "development":
            _refuse_demo_values(variables)
            _require_accounts(variables)
        orders, notifications = (Account.of_url(name, variables[name]) for name in BROKER_URLS)
        return cls(
            mongo_url=variables["MONGO_URL"],
            rabbitmq_url=variables["RABBITMQ_URL"],
            management_url=variables.get("RABBITMQ_MANAGEMENT_URL") or _management_url(variables["RABBITMQ_URL"]),
            databases=tuple(_database(name, variables[name]) for name in MONGO_URLS),
            order_service=orders,
            notification_service=notifications,
            dashboard=_dashboard(variables),
            deadline=_deadline(variables.get("PROVISION_DEADLINE") or "120"),
        )


def _management_url(rabbitmq_url: str) -> str:
    return f"http://{urlsplit(rabbitmq_url).hostname}:15672"


def _database(variable: str, url: str) -> Account:
    account = Account.of_url(variable, url)
    if not account.scope:
        raise SystemExit(f"{variable} names no database")
    return account


def _dashboard(variables: Mapping[str, str]) -> Account | None:
    name, password = variables.get("DASHBOARD_USER"), variables.get("DASHBOARD_PASSWORD")
    return Account(name, password) if name and password else None


def _deadline(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise SystemExit(f"PROVISION_DEADLINE must be a number of seconds above 0, not {text!r}")
    return seconds


def _refuse_demo_values(variables: Mapping[str, str]) -> None:
    secrets = ("MONGO_URL", "RABBITMQ_URL", *MONGO_URLS, *BROKER_URLS, "DASHBOARD_PASSWORD")
    refused = [name for name in secrets if any(demo in variables.get(name, "") for demo in DEMO_SECRETS)]
    if refused:
        raise SystemExit(f"demo values, which ENVIRONMENT=production does not accept: {', '.join(refused)}")


def _require_accounts(variables: Mapping[str, str]) -> None:
    for name in ("MONGO_URL", "RABBITMQ_URL"):
        if "authmechanism=" not in variables[name].lower():
            Account.of_url(name, variables[name])
