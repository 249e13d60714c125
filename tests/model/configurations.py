"""The sagas to search: whole ones, and for each rule a small one in which an invariant breaks without the rule."""

from tests.model.saga import Rule, Saga

ALONE = Saga(bodies=(0,), other=False)
QUICK = Saga(never=frozenset({"worker.publish", "late commit"}))
UNHURRIED = QUICK._replace(never=QUICK.never | {"customer.cancel", "lost insert"})

SMALL = {
    "two requests with one key": Saga(other=False),
    "a request with a key, another order": UNHURRIED._replace(bodies=(0,), never=UNHURRIED.never | {"product.expire"}),
}
"""These take seconds; together they take every action."""
LARGE = {
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
}
"""Each of these takes minutes."""
BROKEN: dict[Rule, tuple[Saga, *tuple[str, ...]]] = {
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
}
"""For each rule the saga that is searched without it, and the invariants that it breaks."""
