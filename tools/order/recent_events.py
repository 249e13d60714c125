"""The latest events, from RabbitMQ's queue `events.recent`, through its management API. They stay in the queue."""

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests

from tools.audit.snapshot import AuditError, run
from tools.stack.stack import Stack

QUEUE = "events.recent"
KEPT = 1000  # messages; as in contracts/topology.json
TIMEOUT = 10.0

Event = dict[str, Any]


class BrokerSilent(Exception):
    """RabbitMQ's management API does not answer, or refuses. The message says where it was asked."""


@dataclass(frozen=True)
class Broker:
    """Where RabbitMQ's management API is, with an account that may read the queue."""

    url: str
    account: tuple[str, str]
    vhost: str = "/"

    def events(self, order_id: str) -> list[Event]:
        """Return the latest events of an order, oldest first. Raises BrokerSilent."""
        url = f"{self.url}/api/queues/{quote(self.vhost, safe='')}/{QUEUE}/get"
        request = {"count": KEPT, "ackmode": "ack_requeue_true", "encoding": "auto"}
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy
                answer = session.post(url, json=request, auth=self.account, timeout=TIMEOUT)
                answer.raise_for_status()
                payloads = [str(message["payload"]) for message in answer.json()]
        except requests.RequestException as exc:
            raise BrokerSilent(f"RabbitMQ's management API at {self.url} does not answer: {exc}") from exc
        return [event for payload in payloads if (event := _read(payload)).get("subject") == order_id]


def _read(payload: str) -> Event:
    """Return the event of a message; {} for a message that is none."""
    try:
        event = json.loads(payload)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def of_stack(stack: Stack) -> Broker:
    """Return the broker of a stack on this machine, for its administrator."""
    parts = urlsplit(stack.administrators()["RABBITMQ_URL"])
    port = stack.ports["rabbitmq-management"] if "rabbitmq" in stack.programs() else 15672
    url = os.environ.get("RABBITMQ_MANAGEMENT_URL") or f"http://{parts.hostname}:{port}"
    account = (unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    return Broker(url.rstrip("/"), account, unquote(parts.path[1:]) or "/")


def of_compose() -> Broker:
    """Return the broker of docker compose, for the account of its dashboard. Raises BrokerSilent."""
    try:
        services = json.loads(run(["docker", "compose", "config", "--format", "json"]))["services"]
    except AuditError as exc:
        raise BrokerSilent(str(exc)) from exc
    settings, (dashboard, *_) = services["provisioning"]["environment"], services["rabbitmq"]["ports"]
    account = (settings["DASHBOARD_USER"], settings["DASHBOARD_PASSWORD"])
    return Broker(f"http://{dashboard.get('host_ip', '127.0.0.1')}:{dashboard['published']}", account)
