"""The promises of the shop, each checked on the facts that the services tell of themselves.

To add a check, write a function from `Facts` to `Check` and name it in `PROMISES`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Fact = dict[str, Any]

EVENTS = {
    "confirmed": ("order_created",),
    "shipped": ("order_created", "order_shipped"),
    "delivered": ("order_created", "order_shipped", "order_delivered"),
    "cancelled": ("order_created", "order_cancelled"),
}
LIVING = ("confirmed", "shipped", "delivered")


@dataclass
class Check:
    """One promise: what was compared, how many of it, and what breaks it."""

    promise: str
    compares: str
    compared: int = 0
    violations: dict[str, str] = field(default_factory=dict)
    may_be_zero: bool = False

    def expect(self, holds: bool, violation: str, detail: str = "") -> None:
        """Count one comparison, and note the violation unless it holds. `detail` may be another one at each look."""
        self.compared += 1
        if not holds:
            self.violations[violation] = detail

    @property
    def passed(self) -> bool:
        """Tell whether something was compared, and no violation was found."""
        return bool(self.compared or self.may_be_zero) and not self.violations


class Facts:
    """The facts of all services, by kind and id."""

    def __init__(self, facts: Iterable[Fact], grace: float) -> None:
        by_kind: dict[str, list[Fact]] = {}
        for fact in facts:
            by_kind.setdefault(fact["kind"], []).append(fact)
        self.products = by_kind.get("product", [])
        self.users = by_kind.get("user", [])
        self.notifications = by_kind.get("notification", [])
        self.orders = {order["id"]: order for order in by_kind.get("order", [])}
        self.reservations = {r["order_id"]: r for r in by_kind.get("reservation", [])}
        self.dead_letters = [fact["count"] for fact in by_kind.get("dead_letters", [])]
        self.notified = Counter((n["event_id"], n["channel"]) for n in self.notifications)
        self.grace = grace
        self.settled_orders = [order for order in self.orders.values() if order["age"] >= grace]
        self.settled_reservations = [r for r in self.reservations.values() if r["age"] >= grace]
        self.settled_notifications = [n for n in self.notifications if n["age"] >= grace]


def no_oversell(facts: Facts) -> Check:
    """Compare stock on hand + held with the units ever received, per product."""
    check = Check("1 no oversell", "stock + held = received, stock >= 0, per product")
    for product in facts.products:
        total = product["stock"] + product["held"]
        sound = total == product["received"] and product["stock"] >= 0
        numbers = f"stock {product['stock']}, held {product['held']}, received {product['received']}"
        check.expect(sound, f"product {product['id']}: the units do not add up", numbers)
    return check


def no_lost_order(facts: Facts) -> Check:
    """Compare every placed order with its reservation, and its events with notifications."""
    check = Check("2 no lost order", "order: stock held; event: published and notified")
    for order in facts.settled_orders:
        if order["status"] in EVENTS and order["status"] != "cancelled":
            reservation = facts.reservations.get(order["id"])
            held = reservation and reservation["state"] == "held" and reservation["lines"] == order["lines"]
            check.expect(bool(held), f"order {order['id']}: its stock is not held as ordered")
        for event in EVENTS.get(order["status"], ()):
            known = facts.notified[(f"{order['id']}.{event}", "email")]
            check.expect(known > 0, f"event {order['id']}.{event}: nobody was notified")
    for order in facts.orders.values():
        for event, age in order["outbox"].items():
            check.expect(age < facts.grace, f"event {event}: not published", f"for {age:.0f} s")
    return check


def no_double_order(facts: Facts) -> Check:
    """Look for an idempotency key with two orders."""
    check = Check("3 no double order", "one order per user and idempotency key")
    keys = Counter(order["key"] for order in facts.orders.values() if order["key"])
    for key, count in keys.items():
        check.expect(count == 1, f"idempotency key {key[:12]}...: several orders", str(count))
    return check


def no_stuck_stock(facts: Facts) -> Check:
    """Compare every reservation that holds stock with its order; look for releases that are still due."""
    check = Check("4 no stuck stock", "held reservation: living order; no release due")
    for reservation in facts.settled_reservations:
        if reservation["state"] == "held":
            order = facts.orders.get(reservation["order_id"])
            living = order is not None and order["status"] in LIVING
            check.expect(living, f"reservation {reservation['order_id']}: held without a living order")
    for order in facts.settled_orders:
        check.expect(not order["release"], f"order {order['id']}: not released", f"for {order['age']:.0f} s")
    return check


def one_notification(facts: Facts) -> Check:
    """Count the notifications of every event and channel."""
    check = Check("5 one notification", "exactly one per event and channel, none unfinished")
    for (event, channel), count in facts.notified.items():
        check.expect(count == 1, f"event {event}: several notifications by {channel}", str(count))
    for order in facts.settled_orders:
        for event in EVENTS.get(order["status"], ()) if order["has_phone"] else ():
            check.expect(facts.notified[(f"{order['id']}.{event}", "sms")] == 1, f"event {order['id']}.{event}: no sms")
    for notification in facts.settled_notifications:
        finished = notification["status"] in ("sent", "failed")
        check.expect(finished, f"notification {notification['id']}: not finished", notification["status"])
    return check


def outage_leaves_nothing(facts: Facts) -> Check:
    """Look at orders that an outage or a refusal ended: they must not hold stock."""
    check = Check("6 outages leak nothing", "failed, rejected or cancelled order: nothing held")
    for order in facts.settled_orders:
        reservation = facts.reservations.get(order["id"], {"state": "none"})
        sound = order["status"] in LIVING or reservation["state"] != "held"
        check.expect(sound, f"order {order['id']}: {order['status']}, but holds stock")
    return check


def no_one_gets_in(facts: Facts) -> Check:
    """Compare whom notifications belong to with who ordered; look at how accounts are kept."""
    check = Check("7 no one gets in", "notification: the buyer's own; account: argon2id, no service role")
    for notification in facts.notifications:
        order = facts.orders.get(notification["order_id"])
        own = order is not None and order["user"] == notification["user_id"]
        check.expect(own, f"notification {notification['id']}: not of the order's buyer")
    for user in facts.users:
        check.expect(user["hash"] == "argon2id", f"user {user['id']}: password kept as {user['hash']}")
        check.expect("service" not in user["roles"], f"user {user['id']}: has the role service")
    return check


def dead_letters(facts: Facts) -> Check:
    """Count the events that nobody could be told of. They break no promise: a command lists and replays them."""
    counts = "counted only: they wait to be replayed" if facts.dead_letters else "not counted: RabbitMQ does not answer"
    return Check("  dead letters", counts, sum(facts.dead_letters), may_be_zero=True)


PROMISES = (
    no_oversell,
    no_lost_order,
    no_double_order,
    no_stuck_stock,
    one_notification,
    outage_leaves_nothing,
    no_one_gets_in,
    dead_letters,
)
