"""The invariants of the shop, one for each of its promises.

To add one, write a function from `Snapshot` to `Check` and name it in `INVARIANTS`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.audit.snapshot import Record, Snapshot

EVENTS = {
    "confirmed": ("order_created",),
    "shipped": ("order_created", "order_shipped"),
    "delivered": ("order_created", "order_shipped", "order_delivered"),
    "cancelled": ("order_created", "order_cancelled"),
}
STOCK_HOLDING = ("confirmed", "shipped", "delivered")


@dataclass
class Check:
    """The result for one invariant: what was compared, how many times, and the violations with their details."""

    invariant: str
    compares: str
    compared: int = 0
    violations: dict[str, str] = field(default_factory=dict)
    may_be_empty: bool = False

    def expect(self, holds: object, violation: str, detail: str = "") -> None:
        """Count one comparison, and record a violation unless it holds. `detail` may differ each time."""
        self.compared += 1
        if not holds:
            self.violations[violation] = detail

    @property
    def passed(self) -> bool:
        """Return whether something was compared and no violation was found."""
        return bool(self.compared or self.may_be_empty) and not self.violations


def _events(order: Record) -> Iterator[str]:
    """Yield the ids of the events that an order must have published."""
    return (f"{order['id']}.{event}" for event in EVENTS.get(order["status"], ()))


def no_oversell(snapshot: Snapshot) -> Check:
    """Stock on hand and held is what was ever received."""
    check = Check("1 no oversell", "stock + held = received, stock >= 0, per product")
    for product in snapshot.products:
        stock, held, received = product["stock"], product["held"], product["received"]
        detail = f"stock {stock}, held {held}, received {received}"
        adds_up = stock >= 0 and stock + held == received
        check.expect(adds_up, f"product {product['id']}: the units do not add up", detail)
    return check


def no_lost_order(snapshot: Snapshot) -> Check:
    """A placed order holds its stock, and its events are published and notified."""
    check = Check("2 no lost order", "order: stock held; event: published and notified")
    for order in snapshot.settled(snapshot.orders.values()):
        if order["status"] in STOCK_HOLDING:
            reservation = snapshot.reservations.get(order["id"], {"state": "none"})
            holds = reservation["state"] == "held" and reservation["lines"] == order["lines"]
            check.expect(holds, f"order {order['id']}: its stock is not held as ordered")
        for event in _events(order):
            check.expect(snapshot.notified[(event, "email")], f"event {event}: nobody was notified")
    for order in snapshot.orders.values():
        for event, age in order["outbox"].items():
            check.expect(age < snapshot.grace, f"event {event}: not published", f"for {age:.0f} s")
    return check


def no_double_order(snapshot: Snapshot) -> Check:
    """An idempotency key leads to one order."""
    check = Check("3 no double order", "one order per user and idempotency key")
    keys = Counter(order["key"] for order in snapshot.orders.values() if order["key"])
    for key, count in keys.items():
        check.expect(count == 1, f"idempotency key {key[:12]}...: several orders", str(count))
    return check


def no_stuck_stock(snapshot: Snapshot) -> Check:
    """A reservation that holds stock belongs to a living order, and no release is due."""
    check = Check("4 no stuck stock", "held reservation: living order; no release due")
    for reservation in snapshot.settled(snapshot.reservations.values()):
        if reservation["state"] == "held":
            order = snapshot.orders.get(reservation["order_id"], {"status": "none"})
            is_living = order["status"] in STOCK_HOLDING
            check.expect(is_living, f"reservation {reservation['order_id']}: held without a living order")
    for order in snapshot.settled(snapshot.orders.values()):
        check.expect(not order["release"], f"order {order['id']}: not released", f"for {order['age']:.0f} s")
    return check


def one_notification(snapshot: Snapshot) -> Check:
    """An event has one notification per channel."""
    check = Check("5 one notification", "exactly one per event and channel, none unfinished")
    for (event, channel), count in snapshot.notified.items():
        check.expect(count == 1, f"event {event}: several notifications by {channel}", str(count))
    for order in snapshot.settled(snapshot.orders.values()):
        for event in _events(order) if order["has_phone"] else ():
            check.expect(snapshot.notified[(event, "sms")] == 1, f"event {event}: no sms")
    for notification in snapshot.settled(snapshot.notifications):
        is_finished = notification["status"] in ("sent", "failed")
        check.expect(is_finished, f"notification {notification['id']}: not finished", notification["status"])
    return check


def outages_leak_nothing(snapshot: Snapshot) -> Check:
    """An order that an outage, a refusal or a cancellation ended holds no stock."""
    check = Check("6 outages leak nothing", "failed, rejected or cancelled order: nothing held")
    for order in snapshot.settled(snapshot.orders.values()):
        reservation = snapshot.reservations.get(order["id"], {"state": "none"})
        is_sound = order["status"] in STOCK_HOLDING or reservation["state"] != "held"
        check.expect(is_sound, f"order {order['id']}: {order['status']}, but holds stock")
    return check


def no_one_gets_in(snapshot: Snapshot) -> Check:
    """A notification belongs to the buyer; accounts have strong hashes and no service role."""
    check = Check("7 no one gets in", "notification: the buyer's own; account: argon2id, no service role")
    for notification in snapshot.notifications:
        order = snapshot.orders.get(notification["order_id"], {"user": None})
        is_own = order["user"] == notification["user_id"]
        check.expect(is_own, f"notification {notification['id']}: not of the order's buyer")
    for user in snapshot.users:
        check.expect(user["hash"] == "argon2id", f"user {user['id']}: password stored as {user['hash']}")
        check.expect("service" not in user["roles"], f"user {user['id']}: has the role service")
    return check


def dead_letters(snapshot: Snapshot) -> Check:
    """Dead letters are only counted: a command lists and replays them, so they violate nothing."""
    counted = bool(snapshot.dead_letters)
    text = "counted only: they wait to be replayed" if counted else "not counted: RabbitMQ does not answer"
    return Check("  dead letters", text, sum(snapshot.dead_letters), may_be_empty=True)


INVARIANTS = (
    no_oversell,
    no_lost_order,
    no_double_order,
    no_stuck_stock,
    one_notification,
    outages_leak_nothing,
    no_one_gets_in,
    dead_letters,
)
