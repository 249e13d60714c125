"""Messages as the broker delivers them, without a broker."""

from dataclasses import dataclass

from chassis.telemetry.context import TraceContext


@dataclass(frozen=True)
class FakeDelivery:
    body: bytes
    id: str = "message-1"
    attempts: int = 0
    trace: TraceContext | None = None
