"""What `./dev up --observe` adds to a stack: Prometheus, RabbitMQ's metrics, and a receiver of traces."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tools.services import METRICS, SERVICES
from tools.stack.programs import Program
from tools.stack.prometheus import Observe, PrometheusServer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Observers:
    """The observers of one stack; it starts nothing. `settings` are variables of all service programs.

    If the settings have an endpoint for traces, no receiver is started.
    """

    def __init__(
        self, home: Path, ports: Mapping[str, int], observe: Observe | None, settings: Mapping[str, str], broker: str
    ) -> None:
        self._ports = ports
        self._receives = bool(observe and observe.traces and ENDPOINT not in settings)
        port = ports["prometheus"]
        self.prometheus = (
            PrometheusServer(home / "prometheus", port, targets(ports, broker), observe) if observe else None
        )

    def settings(self) -> dict[str, str]:
        """Return the variables that all service programs need to be observed."""
        return {ENDPOINT: self._receiver_url} if self._receives else {}

    def programs(self) -> list[Program]:
        """Return the observing programs."""
        found = []
        if self.prometheus:
            found.append(Program("prometheus", self.prometheus.command, page=self.prometheus.url))
        if self._receives:
            command = (sys.executable, "-m", "tools.observe.trace_receiver", str(self._ports["traces"]))
            found.append(Program("traces", command, page=self._receiver_url))
        return found

    @property
    def _receiver_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['traces']}"


def targets(ports: Mapping[str, int], broker: str) -> dict[str, str]:
    """Return the address of every job of Prometheus; `broker` is that of RabbitMQ's metrics."""
    own = (*(service.name for service in SERVICES), *METRICS, "prometheus")
    brokers = dict.fromkeys(("rabbitmq", "rabbitmq-overview"), broker)
    return {**{name: f"127.0.0.1:{ports[name]}" for name in own}, **brokers}
