"""Three RabbitMQ nodes on this machine that form a cluster, behind a balancer, as behind a Service of Kubernetes."""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.waiting import until
from tools import apt
from tools.stack import balancer, open_files, ports, processes, programs
from tools.stack.balancer import Balancer
from tools.stack.rabbitmq import ADMINISTRATOR, RabbitServer

NAMES = ("a", "b", "c")
SECONDS_TO_START = 120.0
# As on Kubernetes: the smaller part of a cluster that falls apart stops, and the nodes find each other at their start.
CLUSTER = """\
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""


@dataclass(frozen=True)
class Node(RabbitServer):
    """One node; those with the same cookie and name server form a cluster."""

    name: str = ""
    cookie: str = ""

    @property
    def full_name(self) -> str:
        """Return the name by which the cluster knows the node."""
        return f"{self.name}@localhost"

    @property
    def state(self) -> Path:
        """Return the folder of the cluster."""
        return self.home.parent

    def write_configuration(self) -> None:
        """Create the node's folder with its configuration and the secret of the cluster."""
        super().write_configuration()
        nodes = (f"cluster_formation.classic_config.nodes.{n} = {name}@localhost\n" for n, name in enumerate(NAMES, 1))
        with (self.home / "rabbitmq.conf").open("a") as configuration:
            configuration.write(CLUSTER + "".join(nodes))
        cookie = self.home / "home" / ".erlang.cookie"
        cookie.write_text(self.cookie)
        cookie.chmod(0o400)

    def environment(self) -> dict[str, str]:
        """Return the variables of a server, with a name of its own."""
        return {**super().environment(), "RABBITMQ_NODENAME": self.full_name}

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the node; it may still be starting."""
        variables = {**programs.inherited(), **self.environment(), **processes.tags(self.state, self.name)}
        command = processes.bound_to_parent(self.command)
        with (self.state / f"{self.name}.log").open("ab") as log:
            return subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """Kill the node, but not the name server that all nodes share."""
        for process in processes.find(self.state, self.name):
            with suppress(psutil.NoSuchProcess):
                if process.name() != "epmd":
                    process.kill()


class Cluster:
    """A running cluster; `url` leads through the balancer to one of its nodes."""

    def __init__(self, nodes: dict[str, Node], balancer: Balancer) -> None:
        self.nodes = nodes
        self.balancer = balancer
        self.up: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Return the administrator's URL, which leads to one node after the other."""
        password = next(iter(self.nodes.values())).password
        return f"amqp://{ADMINISTRATOR}:{password}@127.0.0.1:{self.balancer.port}/%2F"

    @property
    def management_url(self) -> str:
        """Return the URL of a running node's management API."""
        return next(self.nodes[name].management_url for name in self.up)

    def ask(self, path: str) -> Any:
        """Return what the management API says."""
        account = (ADMINISTRATOR, next(iter(self.nodes.values())).password)
        answer = requests.get(f"{self.management_url}/api/{path}", auth=account, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def start(self, *names: str) -> None:
        """Start nodes, and wait until all that run form one cluster."""
        for name in names:
            self.up[name] = self.nodes[name].start()
        expected = {self.nodes[name].full_name for name in self.up}
        until(lambda: self._members() == expected, f"{expected} form a cluster", seconds=SECONDS_TO_START)

    def _members(self) -> set[str]:
        try:
            return {node["name"] for node in self.ask("nodes") if node["running"]}
        except requests.RequestException:
            return set()

    def leader(self, queue: str) -> str:
        """Return the name of the node that leads a quorum queue."""
        return str(self.ask(f"queues/%2F/{queue}")["leader"]).partition("@")[0]

    def kill(self, name: str) -> None:
        """Kill a node, like a power failure; it stays behind the balancer, which does not know."""
        self.nodes[name].kill()
        self.up.pop(name).wait(10)

    def reap(self) -> None:
        """Wait for the nodes that this process has started, so that no zombie stays behind."""
        for server in self.up.values():
            server.wait(10)


@contextmanager
def running() -> Iterator[Cluster]:
    """Run a cluster until the end of the block."""
    open_files.raise_limit()
    state = Path(tempfile.mkdtemp(prefix="shop-"))
    try:
        nodes = _nodes(state)
        backends = [node.amqp for node in nodes.values()]
        with balancer.running(ports.free_ports(1)[0], backends) as in_front:
            cluster = Cluster(nodes, in_front)
            try:
                cluster.start(*nodes)
                yield cluster
            finally:
                processes.end(lambda: processes.find(state), grace=0)
                cluster.reap()
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _nodes(state: Path) -> dict[str, Node]:
    epmd, *numbers = ports.free_ports(1 + 3 * len(NAMES))
    shared = {"program": apt.rabbitmq_server(), "epmd": epmd, "password": "secret", "cookie": secrets.token_hex()}
    nodes = {}
    for name in NAMES:
        amqp, management, distribution = (numbers.pop() for _ in range(3))
        nodes[name] = Node(
            home=state / name, amqp=amqp, management=management, distribution=distribution, name=name, **shared
        )
        nodes[name].write_configuration()
    return nodes
