"""Prepare RabbitMQ: the topology of contracts/topology.json, and users with the least privileges of their service."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pika
import requests
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import ChannelClosedByBroker

from chassis.amqp import FAILURES
from deploy.config import Account
from deploy.waiting import retry

TOPOLOGY = Path(__file__).resolve().parent.parent / "contracts" / "topology.json"
NODE_IS_DOWN = 404  # a queue that exists on one node only cannot be declared again while that node is away
NOT_YET = (requests.ConnectionError, requests.Timeout, requests.HTTPError)  # while the management API starts


@dataclass(frozen=True)
class Rights:
    """Regular expressions of the names that a user may write to and read from. No user may declare anything.

    To write to a queue directly, a program uses the default exchange, which is called amq.default here.
    """

    write: str = "^$"
    read: str = "^$"
    tags: str = ""


# To bind a queue, a user needs write access to it and read access to the exchange.
ORDER_SERVICE = Rights(write=r"^(shop\.events|notifications)$", read=r"^shop\.events$")
# RabbitMQ 4.3 shows a queue only to users with some right to it. Write access to a queue allows nothing more.
NOTIFICATION_SERVICE = Rights(write=r"^(amq\.default|notifications\.retry\..+)$", read=r"^notifications(\.dead)?$")
DASHBOARD = Rights(read=r"^events\.recent$", tags="monitoring,management")


def declare_topology(url: str, deadline: float, milliseconds: int | None = None) -> None:
    """Declare exchanges, queues and bindings. A queue that exists with other arguments is an error.

    A queue whose only node is down stays as it is; a note names it. Tests replace every retry delay by `milliseconds`.
    """

    def declare() -> None:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            try:
                _declare(connection, json.loads(TOPOLOGY.read_text()), milliseconds)
            except ChannelClosedByBroker as exc:  # waiting does not help
                raise SystemExit(f"RabbitMQ refuses contracts/topology.json: {exc.reply_text}") from exc

    what = f"RabbitMQ is not reachable at {urlsplit(url).hostname}:{urlsplit(url).port or 5672}"
    retry(declare, FAILURES, deadline=deadline, what=what)


def _declare(connection: BlockingConnection, topology: dict[str, Any], milliseconds: int | None) -> None:
    channel = connection.channel()
    for exchange in topology["exchanges"]:
        channel.exchange_declare(exchange["name"], exchange["type"], durable=exchange["durable"])
    away = {queue["name"] for queue in topology["queues"] if not _declare_queue(connection, queue, milliseconds)}
    for binding in topology["bindings"]:
        if binding["queue"] not in away:
            channel.queue_bind(binding["queue"], binding["exchange"], binding["routing_key"])


def _declare_queue(connection: BlockingConnection, queue: dict[str, Any], milliseconds: int | None) -> bool:
    """Declare a queue; return False, and print a note, if it exists and its only node is down."""
    arguments = dict(queue["arguments"])
    if milliseconds is not None and "x-message-ttl" in arguments:
        arguments["x-message-ttl"] = milliseconds
    try:
        with connection.channel() as channel:  # a refusal closes it
            channel.queue_declare(queue["name"], durable=queue["durable"], arguments=arguments)
    except ChannelClosedByBroker as exc:
        if exc.reply_code != NODE_IS_DOWN:
            raise
        sys.stderr.write(f"NOTE: the queue {queue['name']} stays as it is: {exc.reply_text}\n")
        return False
    return True


class Management:
    """A client of RabbitMQ's management API, as administrator, for the virtual host of the administrator's URL."""

    def __init__(self, management_url: str, amqp_url: str) -> None:
        parts = urlsplit(amqp_url)
        self._url = management_url.rstrip("/") + "/api/"
        self._vhost = quote(unquote(parts.path[1:]) or "/", safe="")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy from the environment does not know the servers' host names
        self._session.auth = (unquote(parts.username or "guest"), unquote(parts.password or "guest"))
        self.administrator = self._session.auth[0]

    def wait(self, deadline: float) -> None:
        """Wait until the API answers."""
        what = f"RabbitMQ's management API is not reachable at {self._url}"
        retry(lambda: self._call("GET", "whoami"), NOT_YET, deadline=deadline, what=what)

    def set_user(self, account: Account, rights: Rights) -> None:
        """Create or update a user with exactly these rights."""
        user = quote(account.name, safe="")
        self._call("PUT", f"users/{user}", {"password": account.password, "tags": rights.tags})
        permissions = {"configure": "^$", "write": rights.write, "read": rights.read}
        self._call("PUT", f"permissions/{self._vhost}/{user}", permissions)

    def demote(self, name: str) -> None:
        """Remove all tags of a user, for example `administrator`. The password stays. The user need not exist."""
        path = f"users/{quote(name, safe='')}"
        user = self._session.get(self._url + path, timeout=5)
        if user.status_code != requests.codes.not_found:
            user.raise_for_status()
            password = {key: user.json()[key] for key in ("password_hash", "hashing_algorithm")}
            self._call("PUT", path, {**password, "tags": ""})

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> None:
        self._session.request(method, self._url + path, json=body, timeout=5).raise_for_status()


def provision_dashboard(management: Management, dashboard: Account | None) -> None:
    """Create the dashboard's user, and make sure that the well-known guest is no administrator."""
    if management.administrator == "guest":
        return
    management.demote("guest")
    if dashboard:
        management.set_user(dashboard, DASHBOARD)
