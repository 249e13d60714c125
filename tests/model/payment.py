"""Paying for an order as an executable specification, which `./dev model` searches.

There is one order with its payment, and the provider's ledger. An attempt to pay is a charge at the provider. The
provider decides whether the card is accepted, and a charge that is declined stays so. A lost request may arrive late.
A charge is known to the provider by its idempotency key, or `by_reference`: the provider's own id of the charge (1, or
2 if the provider has forgotten the key), which the order stores before any money is taken.
docs/architecture.md describes the same in prose. Each action is named in actions.py.
"""

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from tests.model.search import Move, Transition, interleave


class Rule(Enum):  # what the design demands; a search without one of them finds a broken invariant
    STATE_FIRST = "An attempt is written as started before the provider is asked for money."
    START_BY_CAS = "An attempt is started by a compare-and-set that names the attempt before it."
    NO_ATTEMPT_WHILE_UNKNOWN = "While an attempt is started or unknown there is no next one: a repeat repeats it."
    NO_ANSWER_IS_UNKNOWN = "No answer from the provider is neither yes nor no."
    STARTED_TO_UNKNOWN = "Only an attempt that is started becomes unknown: another request may have settled it."
    LOOK_UP_CLOSES = "A look-up closes a charge that has taken no money: it can never take any."
    CAS_NAMES_ATTEMPT = "What the provider says is written by a compare-and-set that names the attempt."
    CAS_NAMES_REFERENCE = "The same compare-and-set names the reference that was read, or that there was none."
    REFERENCE_BEFORE_CONFIRM = "The provider's reference of an attempt is stored before money is taken under it."
    REFERENCE_BY_CAS = "A reference is stored only in an open attempt without another one; else it is never used."
    CAPTURE_HAS_KEY = "A repeated capture takes no more money, and is answered as the first one."
    REFUND_HAS_KEY = "A repeated refund gives no more money back."
    REFUND_IS_CONFIRMED = "A payment is written as refunded only after the provider has confirmed it."
    CANCEL_REFUNDS = "Cancelling a paid order makes its refund due in the same write."
    CANCEL_LEAVES_UNKNOWN = "Cancelling leaves a payment that is started or unknown as it is."
    LOSER_REFUNDS = "Money that turns out to be captured for a cancelled order makes its refund due."
    EXPIRY_WAITS = "An order whose payment is started or unknown does not expire."
    SHIP_ONLY_PAID = "Only a paid order is shipped."
    DUE_WITH_STATE = "The write that leaves something to do makes it due for the worker."
    DUE_UNTIL_EXPIRED = "An unpaid order that the worker reads before its time stays due."


PaymentStatus = Literal["none", "started", "unknown", "declined", "paid", "refund_due", "refunded"]


class Payment(NamedTuple):
    status: PaymentStatus = "none"
    attempt: int = 0
    reference: int = 0  # 0: none is stored


class Charge(NamedTuple):  # in the provider's ledger
    captured: int = 0
    refunded: int = 0
    is_closed: bool = False  # declined or closed


class Process(NamedTuple):  # a request to pay or a worker
    who: str
    step: str
    attempt: int = 0  # with the reference: what it has read, and names in a compare-and-set
    reference: int = 0
    answer: str = ""  # from the provider: captured, declined; or the statuses that a worker has read
    reply: int = 0  # with it a request ends


class State(NamedTuple):
    order: Literal["confirmed", "paid", "shipped", "cancelled", "expired"]  # expired: cancelled by the worker
    payment: Payment
    due: bool  # the worker must look
    ledger: tuple[Charge, ...]
    processes: tuple[Process, ...]
    late: frozenset[tuple[str, int, int]] = frozenset()  # what happens late or never, attempt, reference
    replied: frozenset[tuple[int, int]] = frozenset()  # the 200 or 402 that a customer got, attempt

    @property
    def statuses(self) -> str:
        return f"{self.order}, payment {self.payment.attempt} {self.payment.status}"

    @property
    def kept(self) -> int:
        return sum(charge.captured - charge.refunded for charge in self.ledger)

    def charge(self, attempt: int, reference: int) -> Charge:
        return self.ledger[3 * attempt + reference - 3]

    def record(self, attempt: int, reference: int, charge: Charge) -> "State":
        at = 3 * attempt + reference - 3
        return self._replace(ledger=(*self.ledger[:at], charge, *self.ledger[at + 1 :]))

    def at_rest(self) -> "State":
        return self._replace(processes=(), late=frozenset(), replied=frozenset())

    def send(self, *message: Any) -> "State":
        return self._replace(late=self.late | {message})


IDLE, NEW = Process("worker", "begin"), Process("request", "begin")
OPEN = ("started", "unknown")
PAID = ("paid", "shipped")


class Payments(NamedTuple):  # the participants, the actions that never happen (to search less), and the rule left out
    requests: int = 2
    attempts: int = 2
    workers: int = 1
    by_reference: bool = False
    expires: bool = True  # an unpaid order, at some time
    never: frozenset[str] = frozenset()
    without: Rule | None = None

    def start(self) -> State:
        processes = sorted([*[NEW] * self.requests, *[IDLE] * self.workers])
        return State("confirmed", Payment(), self.expires, (Charge(),) * 3 * self.attempts, tuple(processes))

    def transitions(self, state: State) -> Iterator[Transition]:
        """Yield all that can happen next."""
        for moves in (interleave(state.processes, partial(self.act, state)), self.surroundings(state)):
            for action, what, after in moves:
                late = frozenset(m for m in after.late if any(then != after for then in self.take_effect(after, *m)))
                yield action, what, after._replace(late=late)

    def act(self, state: State, me: Process) -> Iterator[Move]:
        yield from (self.worker if me.who == "worker" else self.request)(state, me)
        if me.step != "begin":
            yield "crash", "dies", state, IDLE if me.who == "worker" else me._replace(reply=-1)

    def capture(self, state: State, attempt: int, reference: int) -> Iterator[tuple[str, State]]:  # at the provider
        charge = state.charge(attempt, reference)
        is_again = charge.captured and self.without is not Rule.CAPTURE_HAS_KEY
        if not charge.is_closed:
            more = charge._replace(captured=charge.captured + (not is_again))
            yield "captured", state.record(attempt, reference, more)
        if not charge.captured:
            yield "declined", state.record(attempt, reference, charge._replace(is_closed=True))

    def look_up(self, state: State, attempt: int, reference: int) -> tuple[str, State]:  # at the provider
        charge = state.charge(attempt, reference)
        if charge.captured or self.without is Rule.LOOK_UP_CLOSES:
            return "captured" if charge.captured else "declined", state
        return "declined", state.record(attempt, reference, charge._replace(is_closed=True))

    def refund(self, state: State, attempt: int, reference: int) -> State | None:  # at the provider; None: refused
        charge = state.charge(attempt, reference)
        is_again = charge.refunded and self.without is not Rule.REFUND_HAS_KEY
        more = charge._replace(refunded=charge.refunded + (not is_again))
        return state.record(attempt, reference, more) if charge.captured else None

    def write(self, state: State, status: PaymentStatus, due: bool, **changes: Any) -> State:  # to the order's document
        is_due = due and (state.due or self.without is not Rule.DUE_WITH_STATE)
        return state._replace(payment=state.payment._replace(status=status), due=is_due)._replace(**changes)

    def steps(self) -> list[str]:  # of a request that starts an attempt
        if self.without is Rule.STATE_FIRST:
            return ["capture", "start", "settle"]
        if not self.by_reference:
            return ["start", "capture", "settle"]
        if self.without is Rule.REFERENCE_BEFORE_CONFIRM:
            return ["start", "capture", "save_reference", "settle"]
        return ["start", "save_reference", "capture", "settle"]

    def request(self, state: State, me: Process) -> Iterator[Move]:
        attempt, payment, steps = me.attempt, state.payment, self.steps()
        then = me._replace(step=dict(pairwise(steps)).get(me.step, "answer"))
        if me.step == "begin":
            yield "request.read", f"reads {state.statuses}", *self.obey(state, me)
        elif me.step == "start":
            is_next = self.may_start(payment) and payment.attempt == attempt - 1 or self.without is Rule.START_BY_CAS
            if state.order == "confirmed" and is_next:
                after = self.write(state, "started", True, payment=Payment("started", attempt))
                yield "request.start", f"starts {attempt}", after, then
            else:
                yield "request.start", f"cannot start {attempt}", state, NEW
        elif me.step == "save_reference":
            is_open = payment.status in OPEN and payment.attempt == attempt
            for reference in (1, 2) if payment.reference else (1,):
                if is_open and payment.reference in (0, reference) or self.without is Rule.REFERENCE_BY_CAS:
                    after = state._replace(payment=payment._replace(reference=reference))
                    now = then._replace(reference=reference)
                    yield "request.save_reference", f"stores reference {reference}", after, now
                else:
                    ended = me._replace(step="answer")
                    yield "request.save_reference", f"cannot store reference {reference}", state, ended
        elif me.step == "capture":
            reference = me.reference or int(self.by_reference)
            for answer, after in self.capture(state, attempt, reference):
                now = then._replace(reference=reference, answer=answer)
                yield "request.capture", f"captures {attempt}: {answer}", after, now
            is_no = self.without is Rule.NO_ANSWER_IS_UNKNOWN
            unsure = me._replace(step="settle", answer="declined") if is_no else me._replace(step="mark_unknown")
            yield "lost", f"has no answer to {attempt}", state.send("late capture", attempt, reference), unsure
        elif me.step == "mark_unknown":
            is_started = payment.status == "started" or self.without is Rule.STARTED_TO_UNKNOWN
            after = self.write(state, "unknown", True) if is_started and payment.attempt == attempt else state
            yield "request.mark_unknown", f"writes {attempt}: unknown", after, me._replace(reply=503)
        elif me.step == "settle":
            after = self.settle(state, me)
            yield f"request.settle_{me.answer}", f"leaves {after.statuses}", after, then
        else:
            yield "request.read", f"reads {state.statuses}", *self.answer(state, me)

    def may_start(self, payment: Payment) -> bool:
        return payment.status not in OPEN or self.without is Rule.NO_ATTEMPT_WHILE_UNKNOWN

    def obey(self, state: State, me: Process) -> tuple[State, Process]:
        """Let a request do what the payment that it has read demands."""
        payment, steps = state.payment, self.steps()
        if state.order != "confirmed":
            return self.answer(state, me)
        if self.may_start(payment):
            is_last = payment.attempt == self.attempts
            return state, me._replace(step=steps[0], attempt=payment.attempt + 1, reply=-1 if is_last else 0)
        step = "capture" if payment.reference or steps[0] != "start" else steps[1]
        return state, me._replace(step=step, attempt=payment.attempt, reference=payment.reference)

    def answer(self, state: State, me: Process) -> tuple[State, Process]:
        replies = {"paid": 200, "shipped": 200, "confirmed": 402 if state.payment.status == "declined" else 503}
        reply = replies.get(state.order, 409)
        replied = {(reply, state.payment.attempt)} if reply in (200, 402) else set()
        return state._replace(replied=state.replied | replied), me._replace(reply=reply)

    def settle(self, state: State, me: Process) -> State:  # one compare-and-set
        payment = state.payment
        is_attempt = payment.attempt == me.attempt or self.without is Rule.CAS_NAMES_ATTEMPT
        is_reference = payment.reference == me.reference or self.without is Rule.CAS_NAMES_REFERENCE
        if not (payment.status in OPEN and is_attempt and is_reference):
            return state
        if me.answer == "declined":
            return self.write(state, "declined", self.expires)
        if state.order == "confirmed":
            return self.write(state, "paid", False, order="paid")
        return self.write(state, "refund_due", True) if self.without is not Rule.LOSER_REFUNDS else state

    def worker(self, state: State, me: Process) -> Iterator[Move]:
        """Yield first what happens without a fault, after the time to pay."""
        payment, attempt, reference = state.payment, me.attempt, me.reference
        if me.step == "begin":
            for step in self.work(state) if state.due else ():
                then = Process("worker", step, payment.attempt, payment.reference, state.statuses)
                early = " before its time" if step == "clear_due" and state.order == "confirmed" else ""
                yield "worker.due", f"reads {state.statuses}{early}", state, then
        elif me.step == "look_up":
            is_unused = self.by_reference and not reference
            answer, after = ("declined", state) if is_unused else self.look_up(state, attempt, reference)
            then = me._replace(step="settle", answer=answer)
            yield "worker.look_up", f"looks up {attempt}, reference {reference}: {answer}", after, then
            if not is_unused:
                yield "lost", f"has no answer about {attempt}", state.send("late look-up", attempt, reference), IDLE
        elif me.step == "settle":
            after = self.settle(state, me)
            yield f"worker.settle_{me.answer}", f"leaves {after.statuses}", after, IDLE
        elif me.step == "refund":
            refunded, then = self.refund(state, attempt, reference), me._replace(step="mark_refunded")
            what, after = ("is given", refunded) if refunded else ("is refused", state)
            yield "worker.refund", f"{what} the refund of {attempt}", after, then if refunded else IDLE
            unsure = then if self.without is Rule.REFUND_IS_CONFIRMED else IDLE
            yield "lost", "has no answer to the refund", state.send("late refund", attempt, reference), unsure
        elif me.step == "mark_refunded":
            is_mine = payment.status == "refund_due" and payment.attempt == attempt
            after = self.write(state, "refunded", False) if is_mine else state
            yield "worker.mark_refunded", f"leaves {after.statuses}", after, IDLE
        elif me.step == "expire":
            after = state._replace(order="expired") if "expire" in self.work(state) else state
            yield "worker.expire", f"leaves {after.statuses}", after, IDLE
        else:
            is_unpaid = state.order == "confirmed" and self.expires and self.without is not Rule.DUE_UNTIL_EXPIRED
            after = state._replace(due=is_unpaid) if me.answer == state.statuses else state
            yield "worker.clear_due", f"has nothing to do {'yet' if after.due else 'any more'}", after, IDLE

    def work(self, state: State) -> list[str]:
        """Return what a worker may do next: the first after the time to pay, the last before it.

        An order can be due before its time: a worker delays what it could not settle, and a buyer may overtake that.
        """
        is_open, is_unpaid = state.payment.status in OPEN, state.order == "confirmed" and self.expires
        if state.payment.status == "refund_due":
            return ["refund"]
        expire = ["expire"] if is_unpaid and (not is_open or self.without is Rule.EXPIRY_WAITS) else []
        return ["look_up", *expire] if is_open else [*expire, "clear_due"]

    def surroundings(self, state: State) -> Iterator[Transition]:  # customers, administrators, what comes late
        status = state.payment.status
        if state.order in ("confirmed", "paid"):
            is_refunded = state.order == "paid" and self.without is not Rule.CANCEL_REFUNDS
            is_refunded |= status in OPEN and self.without is Rule.CANCEL_LEAVES_UNKNOWN
            after = self.write(state, "refund_due", True) if is_refunded else state
            yield "customer.cancel", f"of {state.statuses}", after._replace(order="cancelled")
        if state.order == "paid" or state.order == "confirmed" and self.without is Rule.SHIP_ONLY_PAID:
            yield "admin.ship", f"of {state.statuses}", state._replace(order="shipped")
        for action, attempt, reference in sorted(state.late):
            for after in self.take_effect(state, action, attempt, reference):
                yield action, f"of {attempt}", after

    def take_effect(self, state: State, action: str, *charge: int) -> list[State]:  # late
        if action == "late capture":
            return [after for _, after in self.capture(state, *charge)]
        return [self.look_up(state, *charge)[1] if action == "late look-up" else self.refund(state, *charge) or state]

    def invariants(self, state: State) -> dict[str, bool]:
        """Return whether each invariant holds. Together they are promise 8 of docs/architecture.md."""
        order, payment, rest = state.order, state.payment, run_worker(self, state.at_rest())
        charge = state.charge(payment.attempt, payment.reference) if payment.attempt else Charge()
        taken = {1 + at // 3 for at, charge in enumerate(state.ledger) if charge.captured}
        is_or_was_paid = order in PAID or payment.status in ("refund_due", "refunded")
        return {
            "an order is never paid for twice": state.kept <= 1,
            "money is refunded once": all(charge.refunded <= charge.captured for charge in state.ledger),
            "a paid order has its money": order not in PAID or payment.status == "paid" and charge == Charge(1),
            "what is declined has taken no money": payment.status != "declined" or payment.attempt not in taken,
            "what is refunded was given back": payment.status != "refunded" or charge == Charge(1, 1),
            "an order that was paid for does not expire": order != "expired" or not taken,
            "every reply to a customer stays true": all(
                is_or_was_paid if reply == 200 else attempt not in taken for reply, attempt in state.replied
            ),
            "a worker alone settles everything": not rest.due and rest.payment.status not in (*OPEN, "refund_due"),
            "only an order that stands keeps money": rest.order in PAID or not rest.kept,
            "an unpaid order expires": rest.order != "confirmed" or not self.expires,
        }


@lru_cache(1_000_000)
def run_worker(payments: Payments, state: State) -> State:
    """Return the state that a worker reaches alone and without a fault, after the time to pay has passed."""
    worker = IDLE
    for _ in range(20):
        if move := next(payments.worker(state, worker), None):
            _, _, state, worker = move
    return state
