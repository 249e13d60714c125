"""The provisioning gives every service what it needs and nothing more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from pymongo.errors import OperationFailure

from deploy import broker, database, provision
from deploy.archive import unfinished
from deploy.config import ProvisioningSettings
from tests import ephemeral_servers
from tests.at_once import at_once
from tools.services import SERVICES
from tools.stack import dev_secrets, programs, spec
from tools.stack.rabbitmq import RabbitServer
from tools.stack.spec import Options, StackSpec

PACKAGES = [service.package for service in SERVICES]
GUEST = (programs.DASHBOARD_USER, programs.DASHBOARD_PASSWORD)
ACCESS_REFUSED = 403


def settings(variables: Mapping[str, str]) -> ProvisioningSettings:
    return ProvisioningSettings(**{name.lower(): value for name, value in variables.items()})


@pytest.fixture(scope="module")
def environment(
    rabbitmq: RabbitServer, tmp_path_factory: pytest.TempPathFactory, mongodb_program: str
) -> Iterator[dict[str, str]]:
    """The variables of a provisioning that was run once, on a MongoDB server with access control."""
    secrets = dev_secrets.load(tmp_path_factory.mktemp("secrets") / "secrets.json")
    with ephemeral_servers.secured_mongodb(secrets["mongodb_admin"], mongodb_program) as mongo_url:
        options = Options(mongo_url=mongo_url, rabbitmq_url=rabbitmq.url, management_url=rabbitmq.management_url)
        plan = StackSpec(Path("unused"), spec.free_ports(), secrets, options)
        dashboard = {"DASHBOARD_USER": GUEST[0], "DASHBOARD_PASSWORD": GUEST[1]}
        variables = {**plan.provisioning_environment(), **dashboard}
        provision.provision(settings(variables))
        yield variables


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    """Open a channel for one attempt; the broker closes it where it refuses."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def refused(url: str, action: Any) -> bool:
    """Tell whether RabbitMQ refuses an action for lack of rights."""
    with channel(url) as opened:
        try:
            action(opened)
        except ChannelClosedByBroker as exc:
            return int(exc.reply_code) == ACCESS_REFUSED
    return False


def publish(exchange: str, routing_key: str) -> Any:
    """Return an action that publishes and waits for the broker's answer."""

    def action(opened: BlockingChannel) -> None:
        opened.confirm_delivery()
        opened.basic_publish(exchange, routing_key, b"{}", mandatory=False)

    return action


def find_one(url: str, database: str) -> Any:
    with pymongo.MongoClient[dict[str, object]](url) as client:
        return client[database].anything.find_one()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_service_reads_and_writes_its_own_database(environment: dict[str, str], package: str) -> None:
    with pymongo.MongoClient[dict[str, object]](environment[f"{package.upper()}_MONGO_URL"]) as client:
        client.get_default_database().things.insert_one({"_id": package})
        assert client[package].things.find_one() == {"_id": package}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_service_reads_the_database_of_another(environment: dict[str, str], package: str) -> None:
    url = environment[f"{package.upper()}_MONGO_URL"]
    for other in set(PACKAGES) - {package}:
        with pytest.raises(OperationFailure):
            find_one(url, other)


def test_order_service_publishes_events_and_sees_the_queue_but_reads_and_declares_nothing(
    environment: dict[str, str],
) -> None:
    url = environment["ORDER_SERVICE_RABBITMQ_URL"]
    assert not refused(url, publish("shop.events", "order_created"))
    assert not refused(url, lambda opened: opened.queue_declare("notifications", passive=True))
    assert refused(url, publish("", "notifications"))
    assert refused(url, lambda opened: opened.basic_get("notifications"))
    assert not refused(url, lambda opened: opened.queue_bind("notifications", "shop.events", "order_created"))
    assert refused(url, lambda opened: opened.queue_bind("events.recent", "shop.events", "order_created"))
    assert refused(url, lambda opened: opened.queue_declare("another"))
    assert refused(url, lambda opened: opened.queue_delete("notifications"))
    assert refused(url, lambda opened: opened.queue_purge("notifications"))


def test_notification_service_reads_and_retries_but_publishes_no_event(environment: dict[str, str]) -> None:
    url = environment["NOTIFICATION_SERVICE_RABBITMQ_URL"]
    assert not refused(url, lambda opened: opened.basic_get("notifications"))
    assert not refused(url, lambda opened: opened.basic_get("notifications.dead"))
    assert not refused(url, publish("", "notifications.retry.5s"))
    assert refused(url, publish("shop.events", "order_created"))
    assert refused(url, lambda opened: opened.basic_get("events.recent"))
    assert refused(url, lambda opened: opened.queue_declare("another"))


def test_the_dashboards_user_looks_at_recent_events_and_changes_nothing(
    environment: dict[str, str], rabbitmq: RabbitServer
) -> None:
    url = rabbitmq.url_of(*GUEST)
    assert not refused(url, lambda opened: opened.basic_get("events.recent"))
    assert refused(url, publish("shop.events", "order_created"))
    assert refused(url, publish("", "notifications"))
    assert refused(url, lambda opened: opened.basic_get("notifications"))
    api = f"{rabbitmq.management_url}/api"
    assert requests.get(f"{api}/queues", auth=GUEST, timeout=5).status_code == requests.codes.ok
    assert requests.put(f"{api}/users/x", auth=GUEST, json={}, timeout=5).status_code != requests.codes.created


def test_running_it_again_or_twice_at_once_is_harmless(environment: dict[str, str]) -> None:
    at_once(2, lambda _number: provision.provision(settings(environment)))
    assert find_one(environment["ORDER_SERVICE_MONGO_URL"], "order_service") is None
    assert not refused(environment["ORDER_SERVICE_RABBITMQ_URL"], publish("shop.events", "order_created"))


def test_a_new_password_replaces_the_old_one(environment: dict[str, str]) -> None:
    old = environment["USER_SERVICE_MONGO_URL"]
    new = old.replace("user_service:", "user_service:new", 1)
    provision.provision(settings({**environment, "USER_SERVICE_MONGO_URL": new}))
    assert find_one(new, "user_service") is None
    with pytest.raises(OperationFailure):
        find_one(old, "user_service")
    provision.provision(settings(environment))


def test_a_queue_with_other_arguments_is_a_loud_error(vhost_url: str) -> None:
    with channel(vhost_url) as opened:
        opened.queue_declare("notifications", durable=True)
    with pytest.raises(
        SystemExit, match="RabbitMQ refuses contracts/topology.json: PRECONDITION_FAILED.*'notifications'"
    ):
        broker.declare_topology(vhost_url, deadline=1)


def test_the_error_of_a_database_without_the_administrator_names_two_causes(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = environment["MONGO_URL"].replace("admin:", "admin:not-", 1)
    for name, value in {**environment, "MONGO_URL": wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"no such administrator.*first\nstart was interrupted"):
        provision.main()


def test_a_proxy_in_the_environment_is_not_asked_for_the_brokers_api(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    provision.provision(settings({**environment, "PROVISION_DEADLINE": "1"}))


def test_a_server_that_cannot_be_reached_is_named(environment: dict[str, str]) -> None:
    nowhere = "mongodb://admin:x@127.0.0.1:9/admin?serverSelectionTimeoutMS=100"
    with pytest.raises(SystemExit, match="MongoDB is not reachable at 127.0.0.1:9"):
        provision.provision(settings({**environment, "MONGO_URL": nowhere, "PROVISION_DEADLINE": "0.1"}))


def test_a_replica_set_of_several_hosts_is_used_as_it_is(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("a replica set is initiated by those who look after it")

    alone = environment["MONGO_URL"].replace("directConnection=true&", "")
    credentials, _, rest = alone.rpartition("@")
    host, _, options = rest.partition("/")
    with pymongo.MongoClient[dict[str, Any]](alone) as client:
        name = client.admin.command("hello")["setName"]
    one_member_less = f"{credentials}@127.0.0.1:9,{host}/{options}"
    for url in (one_member_less, f"{one_member_less}&replicaSet={name}", f"{alone}&replicaSet={name}"):
        assert database.names_replica_set(url)
        new = environment["USER_SERVICE_MONGO_URL"].replace("user_service:", "user_service:another", 1)
        with monkeypatch.context() as patch:
            patch.setattr(database, "_initiate", refuse)
            provision.provision(settings({**environment, "MONGO_URL": url, "USER_SERVICE_MONGO_URL": new}))
        assert find_one(new, "user_service") is None
        provision.provision(settings(environment))


def test_a_replica_set_without_a_primary_is_named() -> None:
    nowhere = "mongodb://admin:x@127.0.0.1:9,127.0.0.1:10/admin?serverSelectionTimeoutMS=100"
    with pytest.raises(SystemExit, match="MongoDB has no primary at 127.0.0.1:9,127.0.0.1:10 after 0.1 s"):
        database.require_primary(nowhere, deadline=0.1)


@pytest.mark.parametrize(
    ("url", "several"),
    [
        ("mongodb://a,b:p,w@host:27017/admin", False),
        ("mongodb://host/admin?directConnection=true", False),
        ("mongodb://one:27017,two:27017/admin", True),
        ("mongodb://host/admin?w=1&replicaSet=rs0", True),
        ("mongodb+srv://cluster.example.com/admin", True),
    ],
)
def test_a_replica_set_is_known_by_its_url(url: str, several: bool) -> None:
    assert database.names_replica_set(url) is several


def test_an_unfinished_restore_stops_the_provisioning(environment: dict[str, str]) -> None:
    with database.connect(environment["MONGO_URL"]) as client:
        unfinished.mark(client, "/backups/monday", ["order_service"])
        with pytest.raises(SystemExit, match="The restore of /backups/monday into this MongoDB did not finish"):
            provision.provision(settings(environment))
        unfinished.clear(client, ["order_service"])
    provision.provision(settings(environment))
