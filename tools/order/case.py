"""All that is known about an order, collected."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.audit.snapshot import ReadRecords, Record
from tools.order import log_lines
from tools.order.log_lines import LogLine
from tools.order.recent_events import Broker, BrokerSilent, Event
from tools.services import SERVICES


@dataclass(frozen=True)
class Sources:
    """Where to look: the services' records with some arguments, the broker, and the lines of the logs."""

    records: Callable[[list[str]], ReadRecords]
    broker: Callable[[], Broker]
    log: Callable[[], Iterable[str]]


@dataclass(frozen=True)
class Case:
    """An order with all that belongs to it. `broker_fault` says why there are no events, if RabbitMQ was silent."""

    order_id: str
    order: Record | None
    reservation: Record | None
    notifications: list[Record]
    events: list[Event]
    broker_fault: str
    log: list[LogLine]

    @property
    def is_known(self) -> bool:
        """Return whether a service has stored something under the order's id."""
        return bool(self.order or self.reservation or self.notifications)

    @classmethod
    def collect(cls, order_id: str, sources: Sources) -> "Case":
        """Ask all sources. Raises AuditError if a service cannot be asked."""
        read = sources.records([f"--order={order_id}"])
        stored = [record for service in SERVICES if service.name != "user-service" for record in read(service)]
        order, reservation = _first(stored, "order_document"), _first(stored, "reservation_document")
        notifications = [record for record in stored if record["kind"] == "notification_document"]
        events, fault = _recent(order_id, sources) if stored else ([], "")
        known = [*events, *(order or {}).get("outbox", [])]
        ids = {str(event["requestid"]) for event in known if "requestid" in event}
        log = log_lines.of_order(order_id, ids, sources.log) if stored else []
        return cls(order_id, order, reservation, notifications, events, fault, log)


def _first(records: list[Record], kind: str) -> Record | None:
    return next((record for record in records if record["kind"] == kind), None)


def _recent(order_id: str, sources: Sources) -> tuple[list[Event], str]:
    """Return the latest events of an order, or why there are none."""
    try:
        return sources.broker().events(order_id), ""
    except BrokerSilent as exc:
        return [], str(exc)
