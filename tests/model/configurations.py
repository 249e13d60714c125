"""Which sagas are searched: whole ones, and for each rule a small one in which taking it away breaks a promise."""

from dataclasses import replace

from tests.model.saga import Rule, Saga

ALONE = Saga(bodies=(0,), other=False)
QUICK = Saga(never=frozenset({"worker.publish", "late commit"}))
UNHURRIED = replace(QUICK, never=QUICK.never | {"customer.cancel", "lost insert"})

SMALL = {
    "two requests with one key": Saga(other=False),
    "a request with a key, another order": replace(UNHURRIED, bodies=(0,), never=UNHURRIED.never | {"product.expire"}),
}
"""These take seconds; together they take every action."""
LARGE = {
    "two bodies with one key": Saga(bodies=(0, 1), other=False),
    "two bodies with the same lines": Saga(bodies=(0, 2), other=False),
    "two workers": replace(QUICK, other=False, workers=2),
    "three attempts": replace(QUICK, other=False, attempts=3),
    "three requests with one key": replace(
        QUICK, bodies=(0, 0, 0), other=False, never=QUICK.never | {"customer.cancel"}
    ),
    "a restored backup": replace(QUICK, other=False, restored=True),
    "a request with a key, another order, expiry": replace(UNHURRIED, bodies=(0,)),
    "a request with a key, another order, all that may happen": Saga(bodies=(0,)),
    "two requests with one key, another order": UNHURRIED,
}
"""These take minutes each."""
BROKEN: dict[Rule, tuple[Saga, *tuple[str, ...]]] = {
    Rule.RELEASE_ONCE: (ALONE, "stock adds up and is never oversold"),
    Rule.TOMBSTONE: (
        replace(QUICK, bodies=(), never=QUICK.never | {"product.expire"}),
        "what was released stays released",
    ),
    Rule.UNIQUE_ID: (replace(ALONE, workers=2), "only events of orders get published"),
    Rule.MAJORITY_READ: (ALONE, "a living order has exactly its stock"),
    Rule.TAKEN_ID_IS_DECIDED: (ALONE, "what a customer was told is true"),
    Rule.ONLY_FAILED_FREES_KEY: (ALONE, "a key has one order", "a repeat is answered as before"),
    Rule.ATTEMPT_NUMBER: (ALONE, "a living order has exactly its stock"),
    Rule.WHOLE_BODY: (replace(QUICK, bodies=(0, 2), other=False), "what a customer was told is true"),
    Rule.OTHER_LINES_WRITE_NOTHING: (replace(QUICK, bodies=(0, 1)), "a living order has exactly its stock"),
    Rule.RELEASED_IS_FAILED: (replace(ALONE, restored=True), "a living order has exactly its stock"),
    Rule.NO_DELETE_BEFORE_STATUS: (replace(QUICK, other=False), "a living order has exactly its stock"),
    Rule.RELEASE_BEFORE_NEXT: (ALONE, "dead attempts take no stock from the next"),
    Rule.RELEASE_SKIPPED: (
        replace(QUICK, other=False, attempts=3),
        "dead attempts take no stock from the next",
    ),
    Rule.NOTE_BEFORE_RELEASE: (ALONE, "a living order has exactly its stock"),
    Rule.NOTE_WITH_RELEASE: (
        replace(QUICK, other=False, attempts=3),
        "dead attempts take no stock from the next",
    ),
    Rule.COMPARE_ALL: (ALONE, "no stock is stuck at rest"),
    Rule.STEP_BACK: (ALONE, "no stock is stuck at rest"),
    Rule.PUBLISH_BEFORE_REMOVE: (ALONE, "the event of every order gets published"),
}
"""For each rule the saga that is searched without it, and the invariants that it breaks."""
