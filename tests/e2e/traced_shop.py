"""A shop whose spans go to a receiver that the test controls, and whose mails go to a mail server of the test."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.at_once import meanwhile
from tests.e2e.clients import Client
from tests.e2e.shop import Shop
from tests.integration.mailroom import MailServer
from tests.waiting import until
from tools.observe.spans import Span
from tools.observe.trace_receiver import Handler, TraceReceiver
from tools.order import recent_events
from tools.paths import ROOT
from tools.stack.stack import Stack

HANG, AWAY = 0, -1


class MoodyHandler(Handler):
    """Answers as the receiver's `mood` says, and keeps the bodies of what it takes."""

    server: "MoodyReceiver"

    def do_POST(self) -> None:
        mood = self.server.mood
        if mood == HANG:
            self.server.released.wait(60)
            self.close_connection = True
        elif mood == AWAY:
            self.close_connection = True
        elif mood != 200:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(mood)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_POST()

    def take(self, body: bytes) -> None:
        self.server.bodies.append(body)
        super().take(body)


class MoodyReceiver(TraceReceiver):
    """A receiver that takes spans (`mood` 200), answers another status, or never (`HANG`).

    When it is shut down, it still answers on open connections, unless its mood is `AWAY`.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port, MoodyHandler)
        self.mood = 200
        self.released = threading.Event()
        self.bodies: list[bytes] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: exporters that were killed leave broken connections."""


@contextmanager
def listening(receiver: MoodyReceiver) -> Iterator[None]:
    """Serve until the end of the block, or until the test shuts the receiver down."""
    with receiver, meanwhile(lambda: receiver.serve_forever(poll_interval=0.01)):
        try:
            yield
        finally:
            receiver.released.set()
            receiver.shutdown()


@dataclass
class TracedShop:
    """The stack, its receiver of traces and its mail server."""

    stack: Stack
    receiver: MoodyReceiver
    mail: MailServer

    @property
    def shop(self) -> Shop:
        return Shop.of(self.stack)

    def of_order(self, order_id: str, *names: str) -> list[Span]:
        """Wait until a trace of an order's creation has spans of these names, and return it, the oldest span first."""

        def trace() -> list[Span]:
            event = f"{order_id}.order_created"
            wanted = {f"/orders/{order_id}", event}
            keys = ("http.response.header.location", "messaging.message.id")
            spans = self.receiver.spans.of_traces(lambda span: bool(wanted & {span.attributes.get(k) for k in keys}))
            found = sorted(spans, key=lambda span: span.start)
            missing = list(names)
            for span in found:
                if span.name in missing:
                    missing.remove(span.name)
            return [] if missing else found

        return until(trace, f"the trace of {order_id} has {names}", seconds=60)

    def message(self, order_id: str) -> dict[str, Any]:
        """Wait for the message of an order's creation, as RabbitMQ keeps it: its payload and its properties."""
        broker = recent_events.of_stack(self.stack)
        url = f"{broker.url}/api/queues/%2F/{recent_events.QUEUE}/get"
        body = {"count": recent_events.KEPT, "ackmode": "ack_requeue_true", "encoding": "auto"}

        def find() -> dict[str, Any] | None:
            messages = requests.post(url, json=body, auth=broker.account, timeout=30).json()
            wanted = f"{order_id}.order_created"
            return next((each for each in messages if each["properties"]["message_id"] == wanted), None)

        found = until(find, "the event is in events.recent", seconds=30)
        assert found
        return found

    def log(self, program: str) -> str:
        """Return what a program has logged."""
        return (self.stack.state / "logs" / f"{program}.log").read_text()

    def replay_dead_letters(self) -> None:
        """Replay all dead letters, as an operator does."""
        command = [sys.executable, "-m", "notification_service.dead_letters", "replay"]
        subprocess.run(command, cwd=ROOT, env=self.stack.environment("notification-consumer"), check=True, timeout=60)

    @contextmanager
    def restarted(self, program: str, **variables: str) -> Iterator[None]:
        """Run a program with other variables during the block."""
        path = self.stack.state / "programs.json"
        before = path.read_text()
        table = json.loads(before)
        table[program]["environment"] |= variables
        try:
            self._restart(program, path, json.dumps(table))
            yield
        finally:
            self._restart(program, path, before)

    def _restart(self, program: str, path: Path, table: str) -> None:
        path.write_text(table)
        old = set(self.stack.pids(program))
        self.stack.kill(program)
        until(lambda: self.stack.pids(program) and not old & set(self.stack.pids(program)), f"{program} runs again")
        self.stack.wait_until_ready()


def place(customer: Client, product_id: str, **headers: str) -> str:
    """Place an order, and return its id."""
    answer = customer.post("/orders", {"product_id": product_id, "quantity": 1}, **headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def is_closed(url: str) -> Callable[[], bool]:
    """Return a function that returns whether nobody listens at a URL of this machine."""
    port = int(url.rpartition(":")[2])

    def check() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    return check
