"""What a stack consists of: its servers, their URLs, and the programs with their settings."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tools import origins, packages, ports, programs
from tools.mongodb import ADMINISTRATOR, MongoServer
from tools.origins import Origin
from tools.programs import Program
from tools.rabbitmq import RabbitServer

PORTS = {
    "mongodb": 27017,
    "rabbitmq": 5672,
    "rabbitmq-management": 15672,
    "product-service": 5001,
    "user-service": 5002,
    "order-service": 5003,
    "notification-service": 5004,
}


@dataclass(frozen=True)
class Options:
    """How a stack differs from the usual one.

    `settings` are environment variables for every service program, `extra` for single programs by name; `workers` is
    the number of processes per web service; `mongodb` is the name or path of the MongoDB server program. With
    `mongo_url` or `rabbitmq_url`, an administrator's, no such server is started.
    """

    workers: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mongodb: str = ""
    mongo_url: str = ""
    rabbitmq_url: str = ""
    management_url: str = ""


class Blueprint:
    """Knows the parts of one stack and how they reach each other; starts nothing."""

    def __init__(self, state: Path, numbers: Mapping[str, int], secrets: Mapping[str, str], options: Options) -> None:
        self._state, self._ports, self._secrets, self._options = state, numbers, secrets, options
        self.mongodb = None if options.mongo_url else self._mongo_server()
        self.rabbitmq = None if options.rabbitmq_url else self._rabbit_server()
        self.urls = service_urls(numbers)

    def _mongo_server(self) -> MongoServer:
        return MongoServer.choose(self._state / "data", self._ports["mongodb"], self._options.mongodb)

    def _rabbit_server(self) -> RabbitServer:
        epmd, distribution = ports.free_ports(2)
        return RabbitServer(
            home=self._state / "data" / "rabbitmq",
            program=packages.rabbitmq_server(),
            amqp=self._ports["rabbitmq"],
            management=self._ports["rabbitmq-management"],
            epmd=epmd,
            distribution=distribution,
            password=self._secrets["rabbitmq_admin"],
        )

    @property
    def mongo_url(self) -> str:
        """Return the administrator's MongoDB URL."""
        if self.mongodb is None:
            return self._options.mongo_url
        return self.mongodb.url(ADMINISTRATOR, self._secrets["mongodb_admin"], "admin")

    @property
    def rabbitmq_url(self) -> str:
        """Return the administrator's RabbitMQ URL."""
        return self.rabbitmq.url if self.rabbitmq else self._options.rabbitmq_url

    def origins(self) -> dict[str, Origin]:
        """Return which servers the stack uses and where their data is, by name."""
        mongo, rabbit, state = self.mongodb, self.rabbitmq, self._state
        return {
            "MongoDB": origins.mongodb(state, mongo) if mongo else origins.given("MONGO_URL", self.mongo_url),
            "RabbitMQ": origins.rabbitmq(state, rabbit) if rabbit else origins.given("RABBITMQ_URL", self.rabbitmq_url),
        }

    def administrators(self) -> str:
        """Return the lines of admin.env."""
        return f"MONGO_URL={self.mongo_url}\nRABBITMQ_URL={self.rabbitmq_url}\n"

    def ports_to_bind(self) -> dict[str, int]:
        """Return the ports that the stack's own programs listen on, by name."""
        elsewhere = set() if self.mongodb else {"mongodb"}
        elsewhere |= set() if self.rabbitmq else {"rabbitmq", "rabbitmq-management"}
        return {name: port for name, port in self._ports.items() if name not in elsewhere}

    def service_mongo_url(self, package: str) -> str:
        """Return the URL with which a service reaches its own database."""
        url = urlsplit(self.mongo_url)
        options = "&".join(part for part in url.query.split("&") if not part.startswith("authSource="))
        address = f"{package}:{self._secrets[package]}@{url.netloc.rpartition('@')[2]}"
        return url._replace(netloc=address, path=f"/{package}", query=options).geturl()

    def service_rabbitmq_url(self, package: str) -> str:
        """Return the URL with which a service reaches the broker."""
        url = urlsplit(self.rabbitmq_url)
        return url._replace(netloc=f"{package}:{self._secrets[package]}@{url.netloc.rpartition('@')[2]}").geturl()

    def write_configuration(self) -> None:
        """Write the files that the servers read."""
        if self.mongodb:
            self.mongodb.write_configuration(self._secrets["mongodb_key"])
        if self.rabbitmq:
            self.rabbitmq.write_configuration()

    def provisioning_environment(self) -> dict[str, str]:
        """Return the variables that deploy.provision reads."""
        urls = {"ENVIRONMENT": "development", "MONGO_URL": self.mongo_url, "RABBITMQ_URL": self.rabbitmq_url}
        for package in programs.PACKAGES.values():
            urls[f"{package.upper()}_MONGO_URL"] = self.service_mongo_url(package)
        for package in programs.BROKER_USERS:
            urls[f"{package.upper()}_RABBITMQ_URL"] = self.service_rabbitmq_url(package)
        management = self.rabbitmq.management_url if self.rabbitmq else self._options.management_url
        dashboard = {"DASHBOARD_USER": programs.DASHBOARD_USER, "DASHBOARD_PASSWORD": programs.DASHBOARD_PASSWORD}
        return {**urls, "RABBITMQ_MANAGEMENT_URL": management, **(dashboard if self.rabbitmq else {})}

    def server_programs(self) -> list[Program]:
        """Return the programs of the stack's own servers."""
        servers = []
        if self.mongodb:
            command, prepared = self.mongodb.command(secured=True), self.mongodb.prepared.relative_to(self._state)
            servers.append(Program("mongodb", command, self.mongodb.environment, after=str(prepared)))
        if self.rabbitmq:
            servers.append(Program("rabbitmq", self.rabbitmq.command, self.rabbitmq.environment()))
        return servers

    def service_programs(self) -> list[Program]:
        """Return the web services and what works in the background."""
        found = [programs.web(name, self._ports[name], self._settings(name, name)) for name in programs.PACKAGES]
        for name, (module, service) in programs.BACKGROUND.items():
            heartbeat = self._state / "run" / f"{name}.heartbeat"
            found.append(programs.background(name, module, self._settings(service, name), heartbeat))
        return found

    def _settings(self, service: str, program: str) -> dict[str, str]:
        package = programs.PACKAGES[service]
        urls = programs.Urls(self.urls, self.service_mongo_url(package), self.service_rabbitmq_url(package))
        return {
            **programs.service_environment(package, urls, self._secrets["client_secret"]),
            "WEB_CONCURRENCY": str(self._options.workers),
            **self._options.settings,
            **self._options.extra.get(program, {}),
        }


def service_urls(numbers: Mapping[str, int]) -> dict[str, str]:
    """Return the base URL of each web service by its name."""
    return {name: f"http://127.0.0.1:{numbers[name]}" for name in programs.PACKAGES}


def free_ports() -> dict[str, int]:
    """Return ports for a stack of one's own, none of them in use."""
    return dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))


def remove_data(state: Path) -> None:
    """Throw away what the servers have stored."""
    shutil.rmtree(state / "data", ignore_errors=True)
