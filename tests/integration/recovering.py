"""A shop whose databases a test saves and restores, each at another moment, and the commands that recover it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database

from chassis.mongo import Document
from order_service.publisher import Publisher
from tests import ephemeral_servers
from tests.integration import mailroom
from tests.integration.mailroom import MailServer
from tests.integration.order_stack import Stack, order_stack
from tests.signing import token
from tests.waiting import until
from tools.audit.command import check_once
from tools.paths import ROOT
from tools.services import SERVICES, Service
from tools.stack.mongodb import MongoServer

Saved = Mapping[str, list[Document]]
BOB = {"Authorization": f"Bearer {token('customer', user='bob', phone='+3222345678')}"}


class CommandFailed(Exception):
    """A command ended with another exit code than 0. The text is what it wrote to standard error."""


def save(database: Database[Document]) -> Saved:
    """Return all documents of a database, by collection."""
    return {name: list(database[name].find()) for name in database.list_collection_names()}


def restore(database: Database[Document], saved: Saved) -> None:
    """Let a database have the documents that were saved, and no others."""
    for name in {*saved, *database.list_collection_names()}:
        database[name].delete_many({})
        if documents := saved.get(name):
            database[name].insert_many(documents)


def execute(
    module: str, variables: Mapping[str, str], *arguments: str, given: str = "", output: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command of the project to its end; `output` is the file that it prints to."""
    path = os.pathsep.join(map(str, [ROOT, *(ROOT / service.name for service in SERVICES)]))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "ENVIRONMENT": "development", **variables}
    command = [sys.executable, "-m", module, *arguments]
    with ExitStack() as files:
        stdout = files.enter_context(Path(output).open("w")) if output else subprocess.PIPE
        return subprocess.run(
            command, env=environment, input=given, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120
        )


def run(module: str, variables: Mapping[str, str], *arguments: str, given: str = "", output: str | None = None) -> str:
    """Run a command; return what it prints. Raises CommandFailed."""
    ended = execute(module, variables, *arguments, given=given, output=output)
    if ended.returncode:
        raise CommandFailed(ended.stderr)
    return ended.stdout


class CountingPublisher(Publisher):
    """Publishes, and keeps the ids of the events."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.ids: set[str] = set()

    def publish(self, events: Iterable[dict[str, Any]]) -> None:
        published = list(events)
        super().publish(published)
        self.ids |= {event["id"] for event in published}


class RestoredShop:
    """Orders, products and notifications on real servers. Worker and consumer run only within `settle`."""

    def __init__(self, stack: Stack, broker_url: str, notifications_url: str, notifications: Any) -> None:
        self.stack = stack
        self.broker_url = broker_url
        self.orders, self.products = stack.orders.database, stack.products.database
        self.notifications: Database[Document] = notifications
        self.mail = MailServer()
        self._in_broker: set[str] = set()
        settings = stack.settings
        self._variables = {
            "order-service": {
                "MONGO_URL": settings.mongo_url,
                "PRODUCT_SERVICE_URL": settings.product_service_url,
                "TOKEN_URL": settings.token_url,
                "CLIENT_SECRET": settings.client_secret,
                "PAYMENT_PROVIDER": settings.payment_provider,
            },
            "product-service": {"MONGO_URL": stack.products_url},
            "notification-service": {"MONGO_URL": notifications_url, "RABBITMQ_URL": broker_url},
        }

    def order(self, quantity: int = 1, product_id: str = "mug", headers: Mapping[str, str] = BOB) -> str:
        """Place an order, and return its id."""
        body = {"product_id": product_id, "quantity": quantity}
        placed = self.stack.app.test_client().post("/orders", json=body, headers=headers)
        assert placed.status_code == 201, placed.text
        return str(placed.json["id"])

    def act(self, order_id: str, action: str) -> None:
        """Cancel, ship or deliver an order."""
        done = self.stack.act(order_id, action)
        assert done.status_code == 200, done.text

    def publish(self) -> None:
        """Let the worker do everything that is due."""
        publisher = CountingPublisher(self.broker_url)
        try:
            self.stack.recover(self.stack.worker(publisher))
        finally:
            publisher.close()
        self._in_broker |= publisher.ids

    def settle(self) -> None:
        """Let worker and consumer do everything that is due."""
        self.publish()
        ids = [f"{event_id}:email" for event_id in self._in_broker]
        finished = {"_id": {"$in": ids}, "status": {"$in": ["sent", "failed"]}}
        unfinished = {"status": {"$nin": ["sent", "failed"]}}
        found = self.notifications.notifications
        with (
            mailroom.listening(self.mail) as port,
            mailroom.consuming(self.broker_url, self.notifications, port),
        ):
            until(lambda: found.count_documents(finished) == len(ids), "every event is handled")
            until(lambda: not found.count_documents(unfinished), "all channels of the events are handled")
        self._in_broker.clear()

    def lose_the_broker(self) -> str:
        """Empty the queues; return what the command prints."""
        self._in_broker.clear()
        return run("deploy.purge", {"RABBITMQ_URL": self.broker_url})

    def history(self) -> str:
        """Return the history of notifications, as the recovery reads it."""
        return run("notification_service.audit", self._variables["notification-service"])

    def recover(self, *options: str, history: str | None = None) -> list[dict[str, Any]]:
        """Run the recovery; return what it says that a person must decide."""
        given = self.history() if history is None else history
        printed = run("order_service.recovery", self._variables["order-service"], *options, given=given)
        return [json.loads(line) for line in printed.splitlines()]

    def violations(self) -> dict[str, str]:
        """Return what the audit finds."""
        return {
            what: detail for check in check_once(self._records, grace=0) for what, detail in check.violations.items()
        }

    def _records(self, service: Service) -> list[dict[str, Any]]:
        if service.name == "user-service":
            return []
        printed = run(f"{service.package}.audit", self._variables[service.name])
        return [json.loads(line) for line in printed.splitlines()]

    @property
    def told(self) -> list[str]:
        """Return the ids of all notifications in the history."""
        return sorted(document["_id"] for document in self.notifications.notifications.find())

    @property
    def mails(self) -> int:
        """Return how many mails were sent."""
        return len(self.mail.received)


@contextmanager
def restored_shop(server: MongoServer, broker_url: str, **settings: Any) -> Iterator[RestoredShop]:
    """Run the services on fresh databases; `settings` are further settings of order-service."""
    with (
        order_stack(server, **settings) as stack,
        ephemeral_servers.database(server) as url,
        pymongo.MongoClient[Document](url, tz_aware=True) as client,
    ):
        yield RestoredShop(stack, broker_url, url, client.get_default_database())
