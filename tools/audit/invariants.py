"""The invariants of the shop, one for each of its promises.

To add one, write a generator of expectations from a `Snapshot` and name it in `INVARIANTS`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.audit import money
from tools.audit.snapshot import Record, Snapshot

EVENTS = {
    "confirmed": "order_created",
    "paid": "order_paid",
    "shipped": "order_shipped",
    "delivered": "order_delivered",
    "cancelled": "order_cancelled",
}
# What an order went through at least; an order of an earlier version has no history of it.
PATHS = {
    "confirmed": ("confirmed",),
    "paid": ("confirmed", "paid"),
    "shipped": ("confirmed", "shipped"),
    "delivered": ("confirmed", "shipped", "delivered"),
    "cancelled": ("confirmed", "cancelled"),
}
STOCK_HOLDING = ("confirmed", "paid", "shipped", "delivered")
NOTHING_RESERVED = {"state": "none"}


class Expectation(NamedTuple):
    """A comparison, and the violation if it does not hold. Only `detail` may differ between two snapshots."""

    holds: bool
    violation: str
    detail: str = ""


@dataclass
class Check:
    """The result for one invariant: what was compared, how many times, and the violations with their details."""

    invariant: str
    compares: str
    compared: int = 0
    violations: dict[str, str] = field(default_factory=dict)
    may_be_empty: bool = False

    @property
    def passed(self) -> bool:
        """Return whether something was compared and no violation was found."""
        return bool(self.compared or self.may_be_empty) and not self.violations


def no_oversell(snapshot: Snapshot) -> Iterator[Expectation]:
    """Stock on hand plus stock held equals the units ever received."""
    for product in snapshot.products:
        stock, held, received = product["stock"], product["held"], product["received"]
        detail = f"stock {stock}, held {held}, received {received}"
        adds_up = stock >= 0 and stock + held == received
        yield Expectation(adds_up, f"product {product['id']}: the units do not add up", detail)


def no_lost_order(snapshot: Snapshot) -> Iterator[Expectation]:
    """A placed order holds its stock, and its events are published and notified."""
    for order in snapshot.settled(snapshot.orders.values()):
        if order["status"] in STOCK_HOLDING:
            reservation = snapshot.reservations.get(order["id"], NOTHING_RESERVED)
            holds = reservation["state"] == "held" and reservation["lines"] == order["lines"]
            yield Expectation(holds, f"order {order['id']}: its stock is not held as ordered")
        for event in _events(order):
            yield Expectation((event, "email") in snapshot.notified, f"event {event}: nobody was notified")
    for order in snapshot.orders.values():
        for event, age in order["outbox"].items():
            yield Expectation(age < snapshot.grace, f"event {event}: not published", f"for {age:.0f} s")


def _events(order: Record) -> Iterator[str]:
    """Return the ids of the events that an order must have published."""
    statuses = {*order["history"], *PATHS.get(order["status"], ())}
    is_refunded = (order["payment"] or {}).get("status") == "refunded"
    types = [*(EVENTS[status] for status in EVENTS if status in statuses), *(["order_refunded"] if is_refunded else [])]
    return (f"{order['id']}.{event}" for event in types)


def no_double_order(snapshot: Snapshot) -> Iterator[Expectation]:
    """An idempotency key leads to one order."""
    keys = Counter(order["key"] for order in snapshot.orders.values() if order["key"])
    for key, count in keys.items():
        yield Expectation(count == 1, f"idempotency key {key[:12]}...: several orders", str(count))


def no_stuck_stock(snapshot: Snapshot) -> Iterator[Expectation]:
    """A reservation that holds stock belongs to a living order, and no release is due."""
    for reservation in snapshot.settled(snapshot.reservations.values()):
        if reservation["state"] == "held":
            order = snapshot.orders.get(reservation["order_id"], {"status": "none"})
            is_living = order["status"] in STOCK_HOLDING
            yield Expectation(is_living, f"reservation {reservation['order_id']}: held without a living order")
    for order in snapshot.settled(snapshot.orders.values()):
        yield Expectation(not order["release"], f"order {order['id']}: not released", f"for {order['age']:.0f} s")


def one_notification(snapshot: Snapshot) -> Iterator[Expectation]:
    """An event has one notification per channel."""
    for (event, channel), count in snapshot.notified.items():
        yield Expectation(count == 1, f"event {event}: several notifications by {channel}", str(count))
    for order in snapshot.settled(snapshot.orders.values()):
        for event in _events(order) if order["has_phone"] else ():
            yield Expectation(snapshot.notified[(event, "sms")] == 1, f"event {event}: no sms")
    for notification in snapshot.settled(snapshot.notifications):
        is_finished = notification["status"] in ("sent", "failed")
        yield Expectation(is_finished, f"notification {notification['id']}: not finished", notification["status"])


def outages_leak_nothing(snapshot: Snapshot) -> Iterator[Expectation]:
    """A failed, rejected or cancelled order holds no stock."""
    for order in snapshot.settled(snapshot.orders.values()):
        reservation = snapshot.reservations.get(order["id"], NOTHING_RESERVED)
        is_sound = order["status"] in STOCK_HOLDING or reservation["state"] != "held"
        yield Expectation(is_sound, f"order {order['id']}: {order['status']}, but holds stock")


def no_one_gets_in(snapshot: Snapshot) -> Iterator[Expectation]:
    """A notification belongs to the buyer; accounts have strong hashes and no service role."""
    for notification in snapshot.notifications:
        order = snapshot.orders.get(notification["order_id"])
        is_own = order is not None and (order["is_lost"] or order["user"] == notification["user_id"])
        yield Expectation(is_own, f"notification {notification['id']}: not of the order's buyer")
    for user in snapshot.users:
        yield Expectation(user["hash"] == "argon2id", f"user {user['id']}: password stored as {user['hash']}")
        yield Expectation("service" not in user["roles"], f"user {user['id']}: has the role service")


def no_money_astray(snapshot: Snapshot) -> Iterator[Expectation]:
    """A captured charge is the payment of an order that stands, or is refunded once; no other order is paid."""
    for order in snapshot.settled(snapshot.orders.values()):
        charges = snapshot.charges.get(order["id"], [])
        fault = money.fault(order, charges, snapshot.payment_provider, snapshot.grace)
        yield Expectation(not fault, f"order {order['id']}: {fault}", f"{order['payment']}, charges {charges}")
    for order_id, charges in snapshot.charges.items():
        for charge in snapshot.settled(charges):
            yield Expectation(order_id in snapshot.orders, f"charge {charge['id']}: captured, but there is no order")


INVARIANTS = (
    ("1 no oversell", "stock + held = received, stock >= 0, per product", no_oversell),
    ("2 no lost order", "order: stock held; event: published and notified", no_lost_order),
    ("3 no double order", "one order per user and idempotency key", no_double_order),
    ("4 no stuck stock", "held reservation: living order; no release due", no_stuck_stock),
    ("5 one notification", "exactly one per event and channel, none unfinished", one_notification),
    ("6 outages leak nothing", "failed, rejected or cancelled order: nothing held", outages_leak_nothing),
    ("7 no one gets in", "notification: the buyer's own; account: argon2id, no service role", no_one_gets_in),
    ("8 no money astray", "order: paid, refunded or neither, as the provider's ledger says", no_money_astray),
)


def check_all(snapshot: Snapshot) -> list[Check]:
    """Check every invariant, and count the dead letters: a command replays them, so they violate nothing."""
    checks = [check(name, compares, invariant(snapshot)) for name, compares, invariant in INVARIANTS]
    counted = bool(snapshot.dead_letters)
    text = "counted only: they wait to be replayed" if counted else "not counted: RabbitMQ does not answer"
    return [*checks, Check("  dead letters", text, sum(snapshot.dead_letters), may_be_empty=True)]


def check(name: str, compares: str, expectations: Iterator[Expectation]) -> Check:
    """Count the expectations of an invariant, and collect the violations."""
    result = Check(name, compares)
    for expectation in expectations:
        result.compared += 1
        if not expectation.holds:
            result.violations[expectation.violation] = expectation.detail
    return result
