"""A stack's own RabbitMQ server. It uses the installed program, but not the system's service, data or ports."""

from dataclasses import dataclass
from pathlib import Path

ADMINISTRATOR = "admin"
# The server's folder, as a path without special characters: RabbitMQ passes paths to a shell unquoted. With a quote or
# an ampersand in the clone's path, the shell would hang, or run the rest of the path as a command.
HERE = "/proc/self/cwd"
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_user = {administrator}
default_pass = {password}
{prometheus}log.file = false
log.console = true
log.console.level = warning
log.console.use_colors = off
"""
# Queues are counted once a second: their alerts and the dashboards should not be older than a scrape.
PROMETHEUS = """\
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {port}
collect_statistics_interval = 1000
"""


@dataclass(frozen=True)
class RabbitServer:
    """How to start the server and how to reach it; `home` has its data and configuration.

    `epmd` is the port of its own Erlang name server; `distribution` is the port for other nodes; `metrics` is the port
    of the plugin for Prometheus, which is loaded only if there is one.
    """

    home: Path
    program: Path
    amqp: int
    management: int
    epmd: int
    distribution: int
    password: str
    metrics: int | None = None

    @property
    def url(self) -> str:
        """Return the administrator's AMQP URL."""
        return self.url_of(ADMINISTRATOR, self.password)

    @property
    def management_url(self) -> str:
        """Return the URL of the management API and the dashboard."""
        return f"http://127.0.0.1:{self.management}"

    def url_of(self, account: str, password: str) -> str:
        """Return the AMQP URL of an account."""
        return f"amqp://{account}:{password}@127.0.0.1:{self.amqp}/%2F"

    def write_configuration(self) -> None:
        """Create the server's folder with its configuration."""
        for folder in ("mnesia", "log", "home"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        plugins = ("rabbitmq_management", *(["rabbitmq_prometheus"] if self.metrics else []))
        (self.home / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        ports = {"amqp": self.amqp, "management": self.management}
        prometheus = PROMETHEUS.format(port=self.metrics) if self.metrics else ""
        account = {"administrator": ADMINISTRATOR, "password": self.password}
        text = CONFIGURATION.format(**ports, **account, prometheus=prometheus)
        (self.home / "rabbitmq.conf").write_text(text)
        (self.home / "rabbitmq.conf").chmod(0o600)

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command that starts the server in its own folder."""
        return ("/usr/bin/env", f"--chdir={self.home}", str(self.program))

    def environment(self) -> dict[str, str]:
        """Return the variables that keep this server apart from all others, for programs that run in its folder.

        `HOME` is where Erlang keeps its cookie. `RUNNING_UNDER_SYSTEMD` makes the start script become the server.
        Otherwise a killed script would leave the server behind as an orphan.
        """
        return {
            "HOME": f"{HERE}/home",
            "RABBITMQ_NODENAME": "shop@localhost",
            "RABBITMQ_MNESIA_BASE": f"{HERE}/mnesia",
            "RABBITMQ_LOG_BASE": f"{HERE}/log",
            "RABBITMQ_CONFIG_FILE": f"{HERE}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{HERE}/enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "1",
        }
