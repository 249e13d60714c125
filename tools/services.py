"""The services of the shop: the one table that everything in tools reads. Standard library only.

To add a service, add a line to `SERVICES`; docs/architecture.md names what else it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Service:
    """A service, named like its folder. `background` has the programs that serve no HTTP: the module of each, by name.

    A service with background programs has an account at RabbitMQ.
    """

    name: str
    port: int
    background: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Return the name of the Python package, of the database and of its account."""
        return self.name.replace("-", "_")


SERVICES = (
    Service("user-service", 5002),
    Service("product-service", 5001),
    Service("order-service", 5003, {"order-worker": "order_service.worker"}),
    Service("notification-service", 5004, {"notification-consumer": "notification_service.consumer"}),
)
BACKGROUND = tuple(name for service in SERVICES for name in service.background)
SERVERS = {"mongodb": 27017, "rabbitmq": 5672, "rabbitmq-management": 15672}
METRICS = {name: port for port, name in enumerate(BACKGROUND, 9464)}
OBSERVERS = {"prometheus": 9090, "traces": 4318, "rabbitmq-metrics": 15692}
STOREFRONT = "storefront"  # the shop's page, which calls the services from the browser
# No program depends on the numbers of these ports. Where one of them is in use, the next free one will do.
MOVABLE = {STOREFRONT: 8080, **METRICS, **OBSERVERS}
PORTS = {**SERVERS, **{service.name: service.port for service in SERVICES}, **MOVABLE}


def local_urls(ports: Mapping[str, int], host: str = "127.0.0.1") -> dict[str, str]:
    """Return the base URL of each web service on this machine, by name."""
    return {service.name: f"http://{host}:{ports[service.name]}" for service in SERVICES}
