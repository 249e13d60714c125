"""The parts of a stack: its servers, their URLs, and its programs with their settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tools import apt
from tools.services import MOVABLE, OBSERVERS, PORTS, SERVERS, SERVICES, STOREFRONT, Service, local_urls
from tools.stack import ports, programs, server_history
from tools.stack.mongodb import ADMINISTRATOR, MongoServer
from tools.stack.observers import Observers
from tools.stack.programs import Program
from tools.stack.prometheus import Observe
from tools.stack.rabbitmq import RabbitServer
from tools.stack.server_history import ServerRecord


@dataclass(frozen=True)
class Options:
    """How a stack differs from the default.

    `settings` are environment variables for every service program, `extra` for single programs by name; `workers` is
    the number of processes per web service; `mongodb` is the name or path of the MongoDB server program. `mongo_url`
    and `rabbitmq_url` are administrators' URLs of running servers; the stack starts no server of that kind then.
    `observe` adds Prometheus and a receiver of traces.
    """

    workers: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mongodb: str = ""
    mongo_url: str = ""
    rabbitmq_url: str = ""
    management_url: str = ""
    observe: Observe | None = None


class StackSpec:
    """The parts of one stack and how they reach each other; it starts nothing."""

    def __init__(self, state: Path, ports: Mapping[str, int], secrets: Mapping[str, str], options: Options) -> None:
        self._state, self._ports, self._secrets, self._options = state, ports, secrets, options
        self.mongodb = None if options.mongo_url else self._mongo_server()
        self.rabbitmq = None if options.rabbitmq_url else self._rabbit_server()
        self._urls = local_urls(ports)
        self._observers = Observers(state / "data", ports, options.observe, options.settings, self._broker_metrics)

    def _mongo_server(self) -> MongoServer:
        return MongoServer.choose(self._state / "data", self._ports["mongodb"], self._options.mongodb)

    def _rabbit_server(self) -> RabbitServer:
        epmd, distribution = ports.free_ports(2)
        return RabbitServer(
            home=self._state / "data" / "rabbitmq",
            program=apt.rabbitmq_server(),
            amqp=self._ports["rabbitmq"],
            management=self._ports["rabbitmq-management"],
            epmd=epmd,
            distribution=distribution,
            password=self._secrets["rabbitmq_admin"],
            metrics=self._ports["rabbitmq-metrics"] if self._options.observe else None,
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

    @property
    def _broker_metrics(self) -> str:
        """Return host and port of RabbitMQ's metrics: on a server of somebody else, the usual port."""
        name = "rabbitmq-metrics"
        port = self._ports[name] if self.rabbitmq else OBSERVERS[name]
        return f"{urlsplit(self.rabbitmq_url).hostname or '127.0.0.1'}:{port}"

    def servers(self) -> dict[str, ServerRecord]:
        """Return which servers the stack uses and where their data is, by name."""
        mongo, rabbit = self.mongodb, self.rabbitmq
        own_mongo = mongo and server_history.mongodb(self._state, mongo)
        own_rabbit = rabbit and server_history.rabbitmq(self._state, rabbit)
        return {
            "MongoDB": own_mongo or server_history.external("MONGO_URL", self.mongo_url),
            "RabbitMQ": own_rabbit or server_history.external("RABBITMQ_URL", self.rabbitmq_url),
        }

    def administrators(self) -> str:
        """Return the lines of admin.env."""
        return f"MONGO_URL={self.mongo_url}\nRABBITMQ_URL={self.rabbitmq_url}\n"

    def ports_to_bind(self) -> dict[str, int]:
        """Return the ports that the stack's own programs listen on, by name, except for those that it may change."""
        own = {"mongodb": self.mongodb, "rabbitmq": self.rabbitmq, "rabbitmq-management": self.rabbitmq}
        fixed = {name: port for name, port in self._ports.items() if name not in MOVABLE}
        return {name: port for name, port in fixed.items() if name not in SERVERS or own[name]}

    def service_mongo_url(self, package: str) -> str:
        """Return the URL with which a service reaches its own database."""
        url = urlsplit(self._with_account(self.mongo_url, package))
        options = "&".join(option for option in url.query.split("&") if not option.startswith("authSource="))
        return url._replace(path=f"/{package}", query=options).geturl()

    def service_rabbitmq_url(self, package: str) -> str:
        """Return the URL with which a service reaches the broker."""
        return self._with_account(self.rabbitmq_url, package)

    def _with_account(self, url: str, package: str) -> str:
        parts = urlsplit(url)
        return parts._replace(netloc=f"{package}:{self._secrets[package]}@{parts.netloc.rpartition('@')[2]}").geturl()

    def write_configuration(self) -> None:
        """Write the files that the servers read."""
        if self.mongodb:
            self.mongodb.write_configuration(self._secrets["mongodb_key"])
        if self.rabbitmq:
            self.rabbitmq.write_configuration()
        if self._observers.prometheus:
            self._observers.prometheus.write_configuration()

    def provisioning_environment(self) -> dict[str, str]:
        """Return the variables that deploy.provision reads."""
        variables = {"ENVIRONMENT": "development", "MONGO_URL": self.mongo_url, "RABBITMQ_URL": self.rabbitmq_url}
        for package, background in ((service.package, service.background) for service in SERVICES):
            variables[f"{package.upper()}_MONGO_URL"] = self.service_mongo_url(package)
            if background:
                variables[f"{package.upper()}_RABBITMQ_URL"] = self.service_rabbitmq_url(package)
        management = self.rabbitmq.management_url if self.rabbitmq else self._options.management_url
        dashboard = {"DASHBOARD_USER": programs.DASHBOARD_USER, "DASHBOARD_PASSWORD": programs.DASHBOARD_PASSWORD}
        return {**variables, "RABBITMQ_MANAGEMENT_URL": management, **(dashboard if self.rabbitmq else {})}

    def server_programs(self) -> list[Program]:
        """Return the programs of the stack's own servers."""
        servers = []
        if self.mongodb:
            command, prepared = self.mongodb.command(secured=True), self.mongodb.prepared.relative_to(self._state)
            servers.append(Program("mongodb", command, self.mongodb.environment, after=str(prepared)))
        if self.rabbitmq:
            metrics = f"http://127.0.0.1:{self.rabbitmq.metrics}/metrics" if self.rabbitmq.metrics else ""
            command, environment = self.rabbitmq.command, self.rabbitmq.environment()
            servers.append(Program("rabbitmq", command, environment, page=metrics))
        return servers

    def observer_programs(self) -> list[Program]:
        """Return the programs that observe the others."""
        return self._observers.programs()

    def storefront_program(self) -> Program:
        """Return the server of the shop's page."""
        return programs.storefront(self._ports)

    def service_programs(self) -> list[Program]:
        """Return the web services and the background programs."""
        web, background = [], []
        for service in SERVICES:
            environment = self._environment(service, service.name)
            web.append(programs.web(service, self._ports[service.name], environment))
            for name, module in service.background.items():
                heartbeat, metrics = self._state / "run" / f"{name}.heartbeat", self._ports[name]
                environment = self._environment(service, name)
                background.append(programs.background(name, module, environment, heartbeat, metrics))
        return web + background

    def _environment(self, service: Service, program: str) -> dict[str, str]:
        return {
            **programs.service_environment(service, self._urls, self._secrets["client_secret"]),
            "MONGO_URL": self.service_mongo_url(service.package),
            **({"RABBITMQ_URL": self.service_rabbitmq_url(service.package)} if service.background else {}),
            "WEB_CONCURRENCY": str(self._options.workers),
            **self._observers.settings(),
            **self._options.settings,
            "CORS_ORIGINS": self._origins(),
            **self._options.extra.get(program, {}),
        }

    def _origins(self) -> str:
        """Return the origins of the shop's own page, and those that the settings name."""
        named = self._options.settings.get("CORS_ORIGINS", "")
        return ",".join([*programs.page_origins(self._ports[STOREFRONT]), *filter(None, [named])])


def free_ports() -> dict[str, int]:
    """Return a free port for each name of `PORTS`, for a stack beside others."""
    return dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))
