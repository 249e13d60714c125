"""Prepare MongoDB and RabbitMQ for the services: users with least rights, and the topology.

Run as `python -m deploy.provision`. Safe to run again at any time, and by several at once: every step sets a state
rather than changing one. The users and passwords are those of the URLs that the services will use.
"""

import os
from collections.abc import Mapping

from pika.exceptions import AMQPError
from pymongo.errors import OperationFailure, PyMongoError
from requests import RequestException

from deploy import broker, database
from deploy.settings import Settings

AUTHENTICATION_FAILED = 18  # the server's error code


def provision(variables: Mapping[str, str]) -> None:
    """Provision the servers that the variables name."""
    settings = Settings.from_environment(variables)
    database.provision(settings.mongo_url, settings.databases, settings.deadline)
    broker.declare_topology(settings.rabbitmq_url, settings.deadline)
    management = broker.Management(settings.management_url, settings.rabbitmq_url)
    management.wait(settings.deadline)
    broker.provision(management, settings.order_service, settings.notification_service)
    broker.provision_dashboard(management, settings.dashboard)


def main() -> None:
    """Provision the servers that the environment names, and say so."""
    try:
        provision(os.environ)
    except (PyMongoError, AMQPError, RequestException) as exc:
        raise SystemExit(f"The provisioning has failed: {exc!r}"[:600] + _advice(exc)) from exc
    print("MongoDB and RabbitMQ are provisioned.")  # noqa: T201


def _advice(exc: Exception) -> str:
    """Return what an operator can do about an error that has a known cause."""
    if isinstance(exc, OperationFailure) and exc.code == AUTHENTICATION_FAILED:
        return (
            "\nMongoDB has no such administrator. Either the password was another one when the data was made, or the"
            "\nfirst start was interrupted before the administrator was made. Remove the data then, and start again:"
            "\ndocker compose down --volumes"
        )
    return ""


if __name__ == "__main__":
    main()
