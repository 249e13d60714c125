"""What to search: whole sagas and payments, and for each rule a small one where an invariant breaks without it."""

from typing import Any

from tests.model.payment import Payments
from tests.model.payment import Rule as PaymentRule
from tests.model.saga import Rule, Saga

ALONE = Saga(bodies=(0,), other=False)
QUICK = Saga(never=frozenset({"worker.publish", "late commit"}))
UNHURRIED = QUICK._replace(never=QUICK.never | {"customer.cancel", "lost insert"})

PAYMENT = Payments(requests=1)
BY_REFERENCE = PAYMENT._replace(by_reference=True)

SMALL: dict[str, Saga | Payments] = {
    "two requests with one key": Saga(other=False),
    "a request with a key, another order": UNHURRIED._replace(bodies=(0,), never=UNHURRIED.never | {"product.expire"}),
    "two requests to pay, two workers": Payments(workers=2),
    "two requests to pay, a provider with references": Payments(by_reference=True),
    "two requests to pay an order that never expires": Payments(by_reference=True, expires=False),
}
"""These take seconds; together they take every action of both specifications."""
LARGE: dict[str, Saga | Payments] = {
    "two bodies with one key": Saga(bodies=(0, 1), other=False),
    "two bodies with the same lines": Saga(bodies=(0, 2), other=False),
    "two workers": QUICK._replace(other=False, workers=2),
    "three attempts": QUICK._replace(other=False, attempts=3),
    "three requests with one key": QUICK._replace(
        bodies=(0, 0, 0), other=False, never=QUICK.never | {"customer.cancel"}
    ),
    "a restored backup": QUICK._replace(other=False, restored=True),
    "a request with a key, another order, expiry": UNHURRIED._replace(bodies=(0,)),
    "a request with a key, another order, everything that may happen": Saga(bodies=(0,)),
    "two requests with one key, another order": UNHURRIED,
    "three requests to pay, two workers": Payments(requests=3, attempts=3, workers=2),
    "three requests to pay, a provider with references, two workers": Payments(
        requests=3, attempts=3, workers=2, by_reference=True
    ),
}
"""Each of these takes minutes."""
BROKEN: dict[Rule | PaymentRule, tuple[Any, *tuple[str, ...]]] = {
    Rule.RELEASE_ONCE: (ALONE, "stock adds up and is never oversold"),
    Rule.TOMBSTONE: (
        QUICK._replace(bodies=(), never=QUICK.never | {"product.expire"}),
        "released stock stays released",
    ),
    Rule.UNIQUE_ID: (ALONE._replace(workers=2), "only events of orders get published"),
    Rule.MAJORITY_READ: (
        QUICK._replace(other=False),
        "a living order has exactly its stock",
        "every reply to a customer stays true",
    ),
    Rule.TAKEN_ID_IS_DECIDED: (ALONE, "every reply to a customer stays true"),
    Rule.ONLY_FAILED_FREES_KEY: (ALONE, "a key has one order", "a repeat is answered as before"),
    Rule.ATTEMPT_NUMBER: (ALONE, "a living order has exactly its stock"),
    Rule.WHOLE_BODY: (QUICK._replace(bodies=(0, 2), other=False), "every reply to a customer stays true"),
    Rule.OTHER_LINES_WRITE_NOTHING: (QUICK._replace(bodies=(0, 1)), "a living order has exactly its stock"),
    Rule.RELEASED_IS_FAILED: (ALONE._replace(restored=True), "a living order has exactly its stock"),
    Rule.NO_DELETE_BEFORE_STATUS: (QUICK._replace(other=False), "a living order has exactly its stock"),
    Rule.RELEASE_BEFORE_NEXT: (ALONE, "dead attempts take no stock from the next"),
    Rule.RELEASE_SKIPPED: (
        QUICK._replace(other=False, attempts=3),
        "dead attempts take no stock from the next",
    ),
    Rule.NOTE_BEFORE_RELEASE: (ALONE, "a living order has exactly its stock"),
    Rule.NOTE_WITH_RELEASE: (
        QUICK._replace(other=False, attempts=3),
        "dead attempts take no stock from the next",
    ),
    Rule.COMPARE_ALL: (ALONE, "no stock is stuck at rest"),
    Rule.STEP_BACK: (ALONE, "no stock is stuck at rest"),
    Rule.PUBLISH_BEFORE_REMOVE: (ALONE, "the event of every order gets published"),
    PaymentRule.STATE_FIRST: (
        PAYMENT,
        "only an order that stands keeps money",
        "an order that was paid for does not expire",
    ),
    PaymentRule.START_BY_CAS: (Payments(requests=3), "only an order that stands keeps money"),
    PaymentRule.NO_ATTEMPT_WHILE_UNKNOWN: (Payments(), "an order is never paid for twice"),
    PaymentRule.NO_ANSWER_IS_UNKNOWN: (
        PAYMENT,
        "what is declined has taken no money",
        "every reply to a customer stays true",
    ),
    PaymentRule.STARTED_TO_UNKNOWN: (PAYMENT, "a paid order has its money"),
    PaymentRule.LOOK_UP_CLOSES: (
        PAYMENT,
        "what is declined has taken no money",
        "only an order that stands keeps money",
    ),
    PaymentRule.CAS_NAMES_ATTEMPT: (Payments(), "what is declined has taken no money"),
    PaymentRule.CAS_NAMES_REFERENCE: (BY_REFERENCE, "only an order that stands keeps money"),
    PaymentRule.REFERENCE_BEFORE_CONFIRM: (BY_REFERENCE, "only an order that stands keeps money"),
    PaymentRule.REFERENCE_BY_CAS: (BY_REFERENCE, "only an order that stands keeps money"),
    PaymentRule.CAPTURE_HAS_KEY: (PAYMENT, "an order is never paid for twice"),
    PaymentRule.REFUND_HAS_KEY: (PAYMENT, "money is refunded once"),
    PaymentRule.REFUND_IS_CONFIRMED: (PAYMENT, "what is refunded was given back"),
    PaymentRule.CANCEL_REFUNDS: (
        PAYMENT,
        "only an order that stands keeps money",
        "every reply to a customer stays true",
    ),
    PaymentRule.CANCEL_LEAVES_UNKNOWN: (PAYMENT, "a worker alone settles everything"),
    PaymentRule.LOSER_REFUNDS: (PAYMENT, "only an order that stands keeps money"),
    PaymentRule.EXPIRY_WAITS: (PAYMENT, "an order that was paid for does not expire"),
    PaymentRule.SHIP_ONLY_PAID: (PAYMENT, "a paid order has its money"),
    PaymentRule.DUE_WITH_STATE: (PAYMENT, "a worker alone settles everything"),
    PaymentRule.DUE_UNTIL_EXPIRED: (PAYMENT, "an unpaid order expires"),
}
"""For each rule what is searched without it, and the invariants that it breaks."""
