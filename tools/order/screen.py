"""An order and all that belongs to it as lines of text, for a terminal."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from chassis.schemas import format_money
from tools.audit.snapshot import Record
from tools.order.case import Case
from tools.order.log_lines import LogLine
from tools.order.recent_events import KEPT, QUEUE
from tools.terminal import escape

IDS = {"request_id", "trace_id"}
NOT_SHOWN = IDS | {"time", "level", "service", "logger", "message", "method", "path", "status", "milliseconds"}
ADDRESS = ("name", "line1", "line2", "postal_code", "city", "region", "country")


def lines(case: Case) -> Iterator[str]:
    """Yield the lines of the screen, in which the order's id is short below the title.

    What could move the cursor or hide text is shown escaped.
    """
    short = f"{case.order_id[:8]}..."
    sections = {
        f"Order {case.order_id}": _order(case.order) if case.order else ["none: order-service does not have it"],
        "Stock, by product-service": _reservation(case.reservation) if case.reservation else [],
        "Payment": _payment((case.order or {}).get("payment")),
        "Outbox: events that wait to be published": map(_event, (case.order or {}).get("outbox", [])),
        f"Events published, of the latest {KEPT} in {QUEUE}": map(_event, case.events),
        "Notifications": map(_notification, case.notifications),
        "Log lines of its requests": _log(case.log),
    }
    if case.broker_fault:
        sections[f"Events published, of the latest {KEPT} in {QUEUE}"] = [case.broker_fault]
    for title, content in sections.items():
        yield escape(title)
        yield from (f"  {escape(line.replace(case.order_id, short))}" for line in list(content) or ["none"])


def _order(order: Record) -> Iterator[str]:
    buyer, address, tracking = (order.get(name, {}) for name in ("user", "shipping_address", "tracking"))
    for name, values in {
        "status": [order["status"]],
        "buyer": buyer.values(),
        "address": [address.get(part) for part in ADDRESS],
        "note": [order.get("note")],
        "tracking": tracking.values(),
        "pay by": [_time(order["pay_by"])] if "pay_by" in order else [],
        "refusal": [order["refusal"]["code"], order["refusal"]["detail"]] if "refusal" in order else [],
    }.items():
        if text := ", ".join(str(value) for value in values if value):
            yield f"{name:<12}{text}"
    yield from _lines(order)
    for entry in order.get("history", []):
        yield f"{'history':<12}{_time(entry['at'])}  {entry['status']} by {entry['by']}"


def _lines(order: Record) -> Iterator[str]:
    for line in order.get("lines", []):
        price = f"{format_money(line['unit_price'])} each"
        yield f"{'line':<12}{line['quantity']:>4} x {line['name']}  {price}  ({line['product_id']})"
    if "total" in order:
        yield f"{'total':<12}{format_money(order['total'])} {order['currency']}"


def _reservation(reservation: Record) -> Iterator[str]:
    yield f"{reservation['state']}, recorded at {_time(reservation['created_at'])}"
    for line in reservation["lines"] or reservation["asked"]:
        yield f"{line['quantity']:>4} x {line['product_id']}"


def _payment(payment: Record | None) -> Iterator[str]:
    if payment:
        yield f"{payment['status']}: {format_money(payment['amount'])} by {payment['method']} ({payment['provider']})"
        times = (f"{name} {_time(payment[name])}" for name in ("paid_at", "refunded_at") if payment.get(name))
        yield ", ".join((f"attempt {payment['attempt']}", *times, *filter(None, [payment.get("reference")])))


def _event(event: Record) -> str:
    return f"{_time(event.get('time'))}  {event.get('type')}  request {event.get('requestid', '-')}"


def _notification(notification: Record) -> str:
    fields = (notification["channel"], notification["status"], notification["subject"], notification.get("error"))
    return f"{_time(notification['created_at'])}  {'  '.join(str(field) for field in fields if field)}"


def _log(log: Iterable[LogLine]) -> Iterator[str]:
    """Yield a line for each log line; one for several in a row that differ only in their time and request."""
    for (program, level, what), group in groupby(log, _kind):
        first, *others = group
        request = str(first.get("request_id", "-"))[:8]
        until = f"  ... {len(others)} more until {_time(others[-1].get('time'))}" if others else ""
        yield f"{_time(first.get('time'))}  {request:<8}  {program:<21}  {level:<7}  {what}{until}"


def _kind(line: LogLine) -> tuple[str, str, str]:
    return str(line.get("service")), str(line.get("level")), _what(line)


def _what(line: LogLine) -> str:
    """Return what a log line says: of a request its method, path and status, of others the message and its fields."""
    if "method" in line and "path" in line:
        return f"{line['method']} {line['path']} {line.get('status')}"
    fields = {name: value for name, value in line.items() if name not in NOT_SHOWN}
    if "exception" in fields:
        fields["exception"] = str(fields["exception"]).splitlines()[-1]
    return " ".join([str(line.get("message")), *(f"{name}={value}" for name, value in fields.items())])


def _time(text: object) -> str:
    """Return a time without what is the same everywhere: 2026-01-31 12:00:00.000."""
    return str(text).replace("T", " ").removesuffix("Z")
