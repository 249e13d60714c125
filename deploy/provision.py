"""Prepare MongoDB and RabbitMQ for the services: users with least privileges, and the broker's topology.

Run as `python -m deploy.provision`. It is idempotent, also when it runs several times at once. The users and passwords
are those in the URLs of the services.
"""

from pika.exceptions import AMQPError
from pymongo.errors import OperationFailure, PyMongoError
from requests import RequestException

from deploy import broker, database
from deploy.archive import unfinished
from deploy.config import Account, ProvisioningSettings

AUTHENTICATION_FAILED = 18  # the server's error code


def provision(settings: ProvisioningSettings) -> None:
    """Provision both servers.

    Stops with a message if one cannot be reached within the deadline, or if the data is that of an unfinished restore.
    """
    database.provision(settings.mongo_url, settings.database_accounts, settings.provision_deadline)
    unfinished.require_none(settings.mongo_url)
    broker.declare_topology(settings.rabbitmq_url, settings.provision_deadline)
    management = broker.Management(settings.management_url, settings.rabbitmq_url)
    management.wait(settings.provision_deadline)
    management.set_user(Account.of_url(settings.order_service_rabbitmq_url), broker.ORDER_SERVICE)
    management.set_user(Account.of_url(settings.notification_service_rabbitmq_url), broker.NOTIFICATION_SERVICE)
    broker.provision_dashboard(management, settings.dashboard)


def main() -> None:
    """Provision the servers that the environment names."""
    try:
        provision(ProvisioningSettings.load())
    except (PyMongoError, AMQPError, RequestException) as exc:
        raise SystemExit(f"The provisioning failed: {exc!r}"[:600] + _advice(exc)) from exc
    print("MongoDB and RabbitMQ are provisioned.")  # noqa: T201


def _advice(exc: Exception) -> str:
    """Return what an operator can do about an error that has a known cause."""
    if isinstance(exc, OperationFailure) and exc.code == AUTHENTICATION_FAILED:
        return (
            "\nMongoDB has no such administrator. Either the data was created with another password, or the first"
            "\nstart was interrupted before the administrator was created. Remove the data and start again:"
            "\ndocker compose down --volumes"
        )
    return ""


if __name__ == "__main__":
    main()
