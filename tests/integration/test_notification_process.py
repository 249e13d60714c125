"""The consumer as a process: stopped, killed, refused, and without its database or broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from chassis.mongo import Document
from deploy.broker import NOTIFICATION_SERVICE, Management, Rights, declare_topology
from deploy.config import Account
from notification_service.store import NO_LEASE
from tests.integration import mailroom
from tests.integration.mailroom import Broker, MailServer, event
from tests.waiting import until
from tools import processes, throwaway
from tools.paths import ROOT
from tools.ports import free_ports
from tools.rabbitmq import RabbitServer
from tools.readiness import FRESH_SECONDS

Running = subprocess.Popen[str]
Start = Callable[..., Running]
EMAIL = "order-1.order_created:email"


@pytest.fixture
def database(mongo_url: str) -> Iterator[Database[Document]]:
    with pymongo.MongoClient[Document](mongo_url, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    with mailroom.connected(broker_url) as connected:
        yield connected


@pytest.fixture
def mail() -> MailServer:
    return MailServer()


@pytest.fixture
def start(broker_url: str, mongo_url: str, mail: MailServer, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a consumer; all consumers log to `tmp_path / "log"`."""
    with mailroom.listening(mail) as port, (tmp_path / "log").open("w") as log:
        started: list[Running] = []
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'notification-service'}",
            "ENVIRONMENT": "development",
            "MONGO_URL": mongo_url,
            "RABBITMQ_URL": broker_url,
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "HEARTBEAT_FILE": str(tmp_path / "heartbeat"),
        }

        def run(**changed: str) -> Running:
            command = [sys.executable, "-m", "notification_service.consumer"]
            started.append(subprocess.Popen(command, env={**environment, **changed}, stdout=log, stderr=log, text=True))
            return started[-1]

        yield run
        for process in started:
            process.kill()
            process.wait()


def status(database: Database[Document]) -> Any:
    return (database.notifications.find_one({"_id": EMAIL}) or {}).get("status")


def test_a_consumer_killed_between_send_and_mark_sends_again_with_the_same_message_id(
    start: Start, broker: Broker, database: Database[Document], mail: MailServer
) -> None:
    mail.delay = 5.0
    broker.publish(event())
    killed = start()
    until(lambda: mail.received, "the mail server has the mail, and has not replied yet")
    killed.kill()
    assert status(database) == "sending"
    mail.delay = 0
    database.notifications.update_one({"_id": EMAIL}, {"$set": {"lease_until": NO_LEASE}})  # as if the lease had ended
    start()
    until(lambda: status(database) == "sent", "it is sent")
    assert len(mail.ids) == 2
    assert len(set(mail.ids)) == 1
    assert database.notifications.count_documents({}) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_shutdown_finishes_the_work_in_progress_and_leaves_the_rest(
    start: Start, broker: Broker, database: Database[Document], mail: MailServer, number: signal.Signals
) -> None:
    mail.delay = 3.0
    broker.publish(*[event(f"order-{n}") for n in range(1, 6)])
    stopped = start(SMTP_CONNECTIONS="1")
    until(lambda: mail.received, "it is sending")
    stopped.send_signal(number)
    assert stopped.wait(30) == 0
    assert status(database) == "sent"
    until(lambda: broker.depth("notifications") == 4, "the other messages are in the queue again")
    assert len(mail.received) == 1


def test_a_consumer_without_its_database_loses_nothing_and_can_be_stopped(
    start: Start, broker: Broker, tmp_path: Path
) -> None:
    broker.publish(*[event(f"order-{number}") for number in range(3)])
    waiting = start(MONGO_URL=f"mongodb://127.0.0.1:{free_ports(1)[0]}/nothing?directConnection=true")
    until(lambda: "waiting for the database" in (tmp_path / "log").read_text(), "it waits for the database")
    waiting.terminate()
    assert waiting.wait(30) == 0
    until(lambda: broker.depth("notifications") == 3, "the messages are in the queue again")
    assert "ana@example.com" not in (tmp_path / "log").read_text()


def test_the_consumer_continues_when_its_database_is_back(
    start: Start, broker: Broker, database: Database[Document], mail: MailServer, mongo_url: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    broker.publish(event())
    server = mongo_url.split("//")[1].split("/")[0]
    start(MONGO_URL=mongo_url.replace(server, f"127.0.0.1:{port}"))
    until(lambda: "waiting for the database" in (tmp_path / "log").read_text(), "it waits for the database")
    with forwarding(port, server):
        until(lambda: status(database) == "sent", "it is sent", seconds=20)
    assert database.notifications.find_one({"_id": EMAIL})["attempts"] == 1  # type: ignore[index]


def test_the_heartbeat_shows_that_the_consumer_works(start: Start, tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    process = start()
    until(heartbeat.exists, "the first beat")
    first = heartbeat.stat().st_mtime
    until(lambda: heartbeat.stat().st_mtime > first, "another beat")
    processes.freeze([process.pid])
    last = heartbeat.stat().st_mtime
    time.sleep(1.5)  # nothing must happen
    assert heartbeat.stat().st_mtime == last


def test_the_consumer_is_unhealthy_while_rabbitmq_refuses_it_and_logs_once_what_to_do(
    start: Start, rabbitmq: RabbitServer, broker_url: str, tmp_path: Path
) -> None:
    management = Management(rabbitmq.management_url, broker_url)
    account, heartbeat, log = Account("newcomer", "secret"), tmp_path / "heartbeat", tmp_path / "log"
    management.set_user(account, Rights())
    start(RABBITMQ_URL=broker_url.replace("admin:", "newcomer:", 1))
    until(lambda: log.read_text().count("reconnecting") or "refused" in log.read_text(), "it is refused")
    time.sleep(3)  # it retries, and nothing must change
    assert not heartbeat.exists()
    errors = [line for line in log.read_text().splitlines() if '"level": "error"' in line]
    assert len(errors) == 1
    assert "misconfigured: consuming events" in errors[0]
    assert "Run the provisioning" in errors[0]
    management.set_user(account, NOTIFICATION_SERVICE)
    until(heartbeat.exists, "it is healthy when it has its rights", seconds=30)


@pytest.mark.parametrize("lost", ["notifications", "notifications.retry.30s", "notifications.dead"])
def test_the_consumer_is_unhealthy_while_a_queue_is_missing(
    start: Start, broker: Broker, broker_url: str, tmp_path: Path, lost: str
) -> None:
    broker.delete(lost)
    start()
    until(lambda: "misconfigured: consuming events" in (tmp_path / "log").read_text(), "it is refused")
    time.sleep(2)  # it retries, and nothing must change
    assert not (tmp_path / "heartbeat").exists()
    declare_topology(broker_url, 60, milliseconds=100)
    until((tmp_path / "heartbeat").exists, "it is healthy when the queue exists", seconds=30)


def test_the_consumer_is_unhealthy_while_its_database_refuses_it(
    start: Start, broker: Broker, tmp_path: Path, mongodb_program: str
) -> None:
    with throwaway.secured_mongodb("secret", mongodb_program) as url:
        start(MONGO_URL=url.replace("secret@", "wrong@").replace("/admin?", "/shop?authSource=admin&"))
        until((tmp_path / "heartbeat").exists, "the first beat")
        broker.publish(event())
        log = tmp_path / "log"
        until(lambda: "misconfigured: the database" in log.read_text(), "it is refused")
        time.sleep(1)
        last = (tmp_path / "heartbeat").stat().st_mtime
        time.sleep(3)  # nothing must happen
        assert (tmp_path / "heartbeat").stat().st_mtime == last
        assert log.read_text().count('"level": "error"') == 1


def test_the_consumer_is_healthy_while_the_broker_is_away(start: Start, tmp_path: Path) -> None:
    start(RABBITMQ_URL=f"amqp://guest:guest@127.0.0.1:{free_ports(1)[0]}/%2F")
    heartbeat = tmp_path / "heartbeat"
    until(heartbeat.exists, "the first beat")
    for _ in range(20):
        time.sleep(0.5)
        assert time.time() - heartbeat.stat().st_mtime < FRESH_SECONDS


@contextmanager
def forwarding(port: int, server: str) -> Iterator[None]:
    """Forward a port to a server, as if the server were back on that port."""
    code = (
        "import asyncio, sys\n"
        "async def pipe(r, w):\n"
        "    while data := await r.read(65536): w.write(data)\n"
        "    w.close()\n"
        "async def accept(r, w):\n"
        "    r2, w2 = await asyncio.open_connection(*sys.argv[2].split(':'))\n"
        "    await asyncio.gather(pipe(r, w2), pipe(r2, w))\n"
        "async def main(): await (await asyncio.start_server(accept, '127.0.0.1', int(sys.argv[1]))).serve_forever()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(port), server]) as forwarder:
        try:
            yield
        finally:
            forwarder.kill()
