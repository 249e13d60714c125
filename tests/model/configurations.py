"""Which sagas are searched: whole ones, and for each rule a small one in which taking it away breaks a promise."""

from dataclasses import replace

from tests.model.rules import Rule
from tests.model.saga import Saga

ALONE = Saga(bodies=(0,), other=False)
QUICK = Saga(publishes=False, commits_behind=False)

SMALL = {
    "two requests with one key": Saga(other=False),
    "a request with a key, another order": replace(
        QUICK, bodies=(0,), cancels=False, expires=False, inserts_late=False
    ),
}
"""These take seconds; together they take every action."""
LARGE = {
    "two bodies with one key": Saga(bodies=(0, 1), other=False),
    "two bodies with the same lines": Saga(bodies=(0, 2), other=False),
    "two workers": replace(QUICK, other=False, workers=2),
    "three attempts": replace(QUICK, other=False, attempts=3),
    "three requests with one key": replace(QUICK, bodies=(0, 0, 0), other=False, cancels=False),
    "two bodies of different quantities": replace(QUICK, bodies=(0, 1), other=False, quantities=(1, 2), stock=2),
    "a restored backup": replace(QUICK, other=False, restored=True),
    "a request with a key, another order, expiry": replace(QUICK, bodies=(0,), cancels=False, inserts_late=False),
    "a request with a key, another order, all that may happen": Saga(bodies=(0,)),
    "two requests with one key, another order": replace(QUICK, cancels=False, inserts_late=False),
}
"""These take minutes each."""
BROKEN = {
    Rule.STOCK_IS_CHECKED: (Saga(bodies=(0,)), "stock_adds_up_and_is_never_oversold"),
    Rule.RELEASE_ONCE: (ALONE, "stock_adds_up_and_is_never_oversold"),
    Rule.TOMBSTONE: (replace(QUICK, bodies=(), expires=False), "what_was_released_stays_released"),
    Rule.UNIQUE_ID: (ALONE, "what_a_customer_was_told_is_true"),
    Rule.MAJORITY_READ: (ALONE, "a_living_order_holds_exactly_its_stock"),
    Rule.TAKEN_ID_IS_DECIDED: (ALONE, "what_a_customer_was_told_is_true"),
    Rule.ONLY_FAILED_FREES_KEY: (ALONE, "a_repeat_is_answered_as_before"),
    Rule.UNDECIDED_IS_NOT_LEFT: (replace(QUICK, other=False), "a_key_has_one_order"),
    Rule.ATTEMPT_NUMBER: (ALONE, "a_living_order_holds_exactly_its_stock"),
    Rule.WHOLE_BODY: (replace(QUICK, bodies=(0, 2), other=False), "what_a_customer_was_told_is_true"),
    Rule.OTHER_LINES_WRITE_NOTHING: (replace(QUICK, bodies=(0, 1)), "a_living_order_holds_exactly_its_stock"),
    Rule.RELEASED_IS_FAILED: (replace(ALONE, restored=True), "a_living_order_holds_exactly_its_stock"),
    Rule.NO_DELETE_BEFORE_STATUS: (replace(QUICK, other=False), "a_living_order_holds_exactly_its_stock"),
    Rule.RELEASE_BEFORE_NEXT: (ALONE, "dead_attempts_take_no_stock_from_their_successor"),
    Rule.RELEASE_SKIPPED: (
        replace(QUICK, other=False, attempts=3),
        "dead_attempts_take_no_stock_from_their_successor",
    ),
    Rule.EVENT_AFTER_ORDER: (ALONE, "only_orders_have_published_events"),
    Rule.EVENT_WITH_ORDER: (ALONE, "the_event_of_every_order_gets_published"),
    Rule.CANCEL_WITH_RELEASE: (ALONE, "no_stock_is_stuck"),
    Rule.NOTE_BEFORE_RELEASE: (ALONE, "a_living_order_holds_exactly_its_stock"),
    Rule.NOTE_WITH_RELEASE: (
        replace(QUICK, other=False, attempts=3),
        "dead_attempts_take_no_stock_from_their_successor",
    ),
    Rule.COMPARE_ALL: (ALONE, "no_stock_is_stuck"),
    Rule.RELEASE_BEFORE_UNSET: (ALONE, "no_stock_is_stuck"),
    Rule.ADVANCE_LAST: (ALONE, "no_stock_is_stuck"),
    Rule.STEP_BACK: (ALONE, "no_stock_is_stuck"),
    Rule.PUBLISH_BEFORE_REMOVE: (ALONE, "the_event_of_every_order_gets_published"),
}
"""For each rule the saga that is searched without it, and the invariant that it breaks."""
