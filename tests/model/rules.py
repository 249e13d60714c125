"""What the design demands and is easily forgotten."""

from enum import Enum


class Rule(Enum):
    """The rules of the saga; a search with one of them taken away finds a broken promise."""

    STOCK_IS_CHECKED = "Stock is taken only by an update whose condition is that there is enough."
    RELEASE_ONCE = "A repeated DELETE gives nothing back."
    TOMBSTONE = "A DELETE that comes before its PUT is recorded, and refuses that PUT."
    UNIQUE_ID = "An order is inserted and never overwrites another: its id is the compare-and-set."
    MAJORITY_READ = "Requests and worker read with majority: what another process has just written may be rolled back."
    TAKEN_ID_IS_DECIDED = "An insert that finds its id taken means that the order is decided, perhaps otherwise."
    ONLY_FAILED_FREES_KEY = (
        "A rejected or cancelled order is answered again; only a failed one leads to a next attempt."
    )
    UNDECIDED_IS_NOT_LEFT = "An attempt without an order is not left for the next one: it may still be confirmed."
    ATTEMPT_NUMBER = "A failed order stays failed; the next attempt has an id of its own."
    WHOLE_BODY = "A repeat is answered with the order only if its whole body is the same."
    OTHER_LINES_WRITE_NOTHING = "After a 409 for other lines no order is inserted."
    RELEASED_IS_FAILED = "After a 409 for a released reservation only a failed order is inserted."
    NO_DELETE_BEFORE_STATUS = "A request sends DELETE only after it has written or read a status that is not living."
    RELEASE_BEFORE_NEXT = "A failed attempt is released before the next one takes stock."
    RELEASE_SKIPPED = "So are the failed attempts that reading on skips, if their release is still due."
    EVENT_AFTER_ORDER = "An event is published only once its order is written."
    EVENT_WITH_ORDER = "The write that confirms an order also puts its event into the outbox."
    CANCEL_WITH_RELEASE = "The write that cancels an order also makes its release due."
    NOTE_BEFORE_RELEASE = "The worker writes a failed order before it sends DELETE for a reservation without order."
    NOTE_WITH_RELEASE = "The write of a failed order also makes its release due."
    COMPARE_ALL = "The worker also releases what has an order that is failed, rejected or cancelled."
    RELEASE_BEFORE_UNSET = "A release stays due until DELETE is answered."
    ADVANCE_LAST = "The cursor passes only what has been compared."
    STEP_BACK = "The cursor steps back once a day, for reservations that were committed behind it."
    PUBLISH_BEFORE_REMOVE = "An event leaves the outbox only after the broker's confirm."
