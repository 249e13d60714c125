"""The saga of placing an order as an executable specification: one function for each action.

A process's `step` is the action that it does next, as the methods' names say. Each method first yields what happens
without a fault. To add an action: name it in ACTIONS with the function of the code that does it, and yield it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from tests.model.rules import Rule
from tests.model.state import (
    AHEAD,
    BEHIND,
    CANCELLED,
    CONFIRMED,
    DIFFERS,
    FAILED,
    FOUND,
    HELD,
    IDLE,
    NONE,
    PASSED,
    REFUSED,
    REJECTED,
    RELEASED,
    TAKEN,
    UNKNOWN,
    Move,
    Order,
    Request,
    Reservation,
    State,
    Transition,
    Work,
    Worker,
    end,
    pass_by,
    send,
    update,
    with_item,
    working,
    write_later,
)

ACTIONS = {
    "request.reserve": "order_service.products:ProductClient.reserve",
    "request.insert": "order_service.store:OrderStore.insert",
    "request.read": "order_service.store:OrderStore.read",
    "request.read_on": "order_service.store:OrderStore.attempts",
    "request.release": "order_service.products:ProductClient.release",
    "product.take": "product_service.store:ReservationStore.take",
    "product.give_back": "product_service.store:ReservationStore.give_back",
    "product.expire": "product_service.store:Preparation.prepare",
    "worker.release": "order_service.products:ProductClient.release",
    "worker.released": "order_service.store:OrderStore.released",
    "worker.list": "order_service.products:ProductClient.reservations",
    "worker.compare": "order_service.store:OrderStore.statuses",
    "worker.note": "order_service.store:OrderStore.insert",
    "worker.advance_cursor": "order_service.store:OrderStore.advance_cursor",
    "worker.step_back": "order_service.store:OrderStore.step_back",
    "worker.publish": "order_service.publisher:Publisher.publish",
    "worker.published": "order_service.store:OrderStore.published",
    "customer.cancel": "order_service.store:OrderStore.advance",
}
"""Each action with the function of the code that does it."""
ENVIRONMENT = ("crash", "lost", "late")
"""What nobody does: a process dies, an answer is lost, a write whose answer was lost takes effect."""


@dataclass
class Saga:
    """Who takes part, what may happen, and the rule that is taken away, if any."""

    bodies: tuple[int, ...] = (0, 0)  # of the requests with the key
    other: bool = True  # another customer's request
    attempts: int = 2
    stock: int = 1
    workers: int = 1
    quantities: tuple[int, int] = (1, 1)  # of the lines of body 0, and of body 1
    cancels: bool = True
    expires: bool = True
    publishes: bool = True
    commits_behind: bool = True  # a reservation's time is taken before its commit, so it may appear behind the cursor
    inserts_late: bool = True
    restored: bool = False  # an old backup of order-service's database has lost the order of attempt 0
    without: Rule | None = None

    def start(self) -> State:
        """Return the state in which nothing has happened yet."""
        requests = [Request(True, body, "reserve", 0) for body in self.bodies]
        requests += [Request(False, 0, "reserve", self.attempts)] * self.other
        nothing = (None,) * (self.attempts + self.other)
        records = (Reservation(RELEASED), *nothing[1:]) if self.restored else nothing
        return State(self.stock, records, nothing, tuple(sorted(requests)), (Worker(),) * self.workers)

    def transitions(self, state: State) -> Iterator[Transition]:
        """Yield all that can happen next. Equal processes move once and are kept sorted: who is who does not matter."""
        for request in dict.fromkeys(state.requests):
            requests = list(state.requests)
            requests.remove(request)
            who = f"request {request.body}" if request.has_key else "other request"
            for action, what, after, then in self.request(state, request):
                now = tuple(sorted([*requests, then])) if then else tuple(requests)
                yield action, f"{who} {what}", self.without_effect(after._replace(requests=now))
        for worker in dict.fromkeys(state.workers):
            workers = list(state.workers)
            workers.remove(worker)
            for action, what, after, do in self.work(state, worker):
                now_at = tuple(sorted([*workers, do]))
                yield action, f"worker {what}", self.without_effect(after._replace(workers=now_at))
        for transitions in (self.late(state), self.customers_and_time(state)):
            for action, what, after in transitions:
                yield action, what, self.without_effect(after)

    def without_effect(self, state: State) -> State:
        """Drop what can do nothing any more: a PUT or an insert whose id is recorded, a DELETE of what is not held.

        That loses no behaviour, for orders are never erased, and a reservation expires only with all that is under way.
        """
        if not state.messages and not state.inserts:
            return state
        records, orders = state.reservations, state.orders
        messages = [m for m in state.messages if not (r := records[m[1]]) or m[0] == "DELETE" and r.state == HELD]
        inserts = [insert for insert in state.inserts if not orders[insert[0]]]
        return state._replace(messages=frozenset(messages), inserts=frozenset(inserts))

    # product-service: each call is one transaction

    def take(self, state: State, order_id: int, lines: int) -> Iterator[tuple[State, str, str]]:
        """Answer PUT /reservations/{order_id}; yield the answer, and what happened in words."""
        found, quantity = state.reservations[order_id], self.quantities[lines]
        if found:
            answer = RELEASED if found.state == RELEASED else DIFFERS if found.lines != lines else found.state
            answer = FOUND if answer == HELD else answer
            yield state, answer, f"PUT {order_id}: {answer}"
        elif state.stock >= quantity or self.without is Rule.STOCK_IS_CHECKED:
            for cursor in (AHEAD, BEHIND) if self.commits_behind else (AHEAD,):
                what = f"PUT {order_id}: {TAKEN}{', committed behind the cursor' if cursor == BEHIND else ''}"
                held = with_item(state.reservations, order_id, Reservation(HELD, lines, cursor))
                yield state._replace(stock=state.stock - quantity, reservations=held), TAKEN, what
        else:
            refused = with_item(state.reservations, order_id, Reservation(REFUSED, lines))
            yield state._replace(reservations=refused), REFUSED, f"PUT {order_id}: {REFUSED}"

    def give_back(self, state: State, order_id: int) -> State:
        """Answer DELETE /reservations/{order_id}."""
        found = state.reservations[order_id] or Reservation("none")
        if found.state == REFUSED or found.state == "none" and self.without is Rule.TOMBSTONE:
            return state
        back = found.state == HELD or found.state == RELEASED and self.without is Rule.RELEASE_ONCE
        released = with_item(state.reservations, order_id, Reservation(RELEASED))
        return state._replace(stock=state.stock + back * self.quantities[found.lines], reservations=released)

    # order-service's database: each write is one document

    def write(self, state: State, order_id: int, order: Order) -> tuple[State, bool]:
        """Insert an order, or return False as its id is taken."""
        if state.orders[order_id] and self.without is not Rule.UNIQUE_ID:
            return state, False
        return state._replace(orders=with_item(state.orders, order_id, order)), True

    def seen(self, state: State, order_id: int) -> Order | None:
        """Read an order with majority, that is without the inserts that may still be rolled back."""
        unsure = dict(sorted(state.inserts)) if self.without is Rule.MAJORITY_READ else {}
        return state.orders[order_id] or unsure.get(order_id)

    # a request

    def request(self, state: State, request: Request) -> Iterator[Move]:
        """Yield what a request may do next, and that it dies where it would leave something behind."""
        yield from getattr(self, f"request_{request.step}")(state, request)
        if request.step != "reserve":
            yield "crash", "dies", state, None

    def request_reserve(self, state: State, request: Request) -> Iterator[Move]:
        """Send PUT; after stock was taken just now, or refused, insert the order, else read it first."""
        order_id, lines = request.order_id, request.body % 2
        for after, answer, what in self.take(state, order_id, lines):
            if answer == TAKEN and self.without is Rule.EVENT_AFTER_ORDER:
                after = after._replace(published=after.published | {order_id})
            then = request._replace(step="insert" if answer in (TAKEN, REFUSED) else "read", answer=answer)
            yield "request.reserve", f"sends {what}", after, then
        sent, what = send(state, "PUT", order_id, lines), f"has no answer to PUT {order_id}"
        yield "lost", what, sent, request._replace(step="read", answer=UNKNOWN)
        yield "lost", f"{what}, sends it again", sent, request

    def request_insert(self, state: State, request: Request) -> Iterator[Move]:
        """Insert the order; if its id is taken, read what it says."""
        order_id, order = request.order_id, self.outcome(request)
        after, inserted = self.write(state, order_id, order)
        if inserted or self.without is Rule.TAKEN_ID_IS_DECIDED:
            yield "request.insert", *self.obey(f"inserts {order_id}: {order.status}", after, request, order)
        else:
            yield "request.insert", f"finds id {order_id} taken", state, request._replace(step="read")
        if self.inserts_late:
            sent, what = write_later(state, order_id, order), f"has no answer to the insert of {order_id}"
            yield "lost", *end(what, sent, request, 503)
            yield "lost", f"{what}, runs it again", sent, request

    def outcome(self, request: Request) -> Order:
        """Return the order that PUT's answer leads to."""
        confirming = {TAKEN, FOUND, DIFFERS}  # after other lines this is asked only without the rule for them
        if self.without is Rule.RELEASED_IS_FAILED:
            confirming.add(RELEASED)
        if request.answer in confirming:
            in_outbox = self.publishes and self.without is not Rule.EVENT_WITH_ORDER
            return Order(CONFIRMED, request.body, in_outbox=in_outbox)
        return Order(REJECTED, request.body) if request.answer == REFUSED else Order(FAILED, release_due=True)

    def request_read(self, state: State, request: Request) -> Iterator[Move]:
        """Read the order and obey it; if there is none, insert what PUT's answer leads to, if anything."""
        order_id, answer, order = request.order_id, request.answer, self.seen(state, request.order_id)
        what = f"reads {order_id}: {order.status if order else 'none'}"
        if order:
            yield "request.read", *self.obey(what, state, request, order)
        elif answer == DIFFERS and self.without is not Rule.OTHER_LINES_WRITE_NOTHING:
            yield "request.read", *end(what, state, request, 422)
        elif answer == UNKNOWN and self.without is Rule.NO_DELETE_BEFORE_STATUS:
            yield "request.read", what, self.give_back(state, order_id), request._replace(step="insert")
        elif answer == UNKNOWN and request.has_key and self.without is Rule.UNDECIDED_IS_NOT_LEFT:
            yield "request.read", what, state, request._replace(step="read_on", answer="")
        elif answer == UNKNOWN and request.has_key:
            yield "request.read", *end(what, state, request, 503)
        else:
            yield "request.read", what, state, request._replace(step="insert")

    def obey(self, what: str, state: State, request: Request, order: Order) -> tuple[str, State, Request | None]:
        """Answer with an order that stands, or was rejected or cancelled; leave an attempt that failed."""
        order_id, answer = request.order_id, request.answer
        release = request._replace(step="release", releases=(order_id,))
        if order.status == FAILED and self.without is Rule.ATTEMPT_NUMBER:
            state, order = update(state, order_id, status=CONFIRMED, in_outbox=True), Order(CONFIRMED, request.body)
        if order.status == CONFIRMED or order.status != FAILED and self.without is not Rule.ONLY_FAILED_FREES_KEY:
            reply = self.reply(order, request)
            if order.status in (REJECTED, CANCELLED) and answer in (TAKEN, FOUND):
                return what, state, release._replace(reply=reply)
            return end(what, state, request, reply)
        if not request.has_key:
            return end(what, state, request, 503)
        released = answer in (UNKNOWN, RELEASED) or self.without is Rule.RELEASE_BEFORE_NEXT
        return what, state, request._replace(step="read_on") if released else release

    def reply(self, order: Order, request: Request) -> int:
        """Return the status of the reply that an order gives a request."""
        if order.body != request.body and self.without is not Rule.WHOLE_BODY:
            return 422
        return 409 if order.status == REJECTED else 201

    def request_release(self, state: State, request: Request) -> Iterator[Move]:
        """Send DELETE for what must not hold stock; then reply, read on, or try the attempt that was found."""
        order_id, *rest = request.releases
        what, after, own = f"sends DELETE {order_id}", self.give_back(state, order_id), order_id == request.order_id
        if rest:
            yield "request.release", what, after, request._replace(releases=tuple(rest))
        elif request.reply:
            yield "request.release", *end(what, after, request, request.reply)
        else:
            step = "read_on" if own else "reserve"
            yield "request.release", what, after, request._replace(step=step, releases=())
        reply = request.reply if own and request.reply else 503
        yield "lost", *end(f"has no answer to DELETE {order_id}", send(state, "DELETE", order_id), request, reply)

    def request_read_on(self, state: State, request: Request) -> Iterator[Move]:
        """Find the first later attempt that is not failed: answer with its order, or try it if there is none."""
        later = [(i, self.seen(state, i)) for i in range(request.order_id + 1, self.attempts)]
        skipped = tuple(i for i, _ in takewhile(lambda attempt: attempt[1] and attempt[1].status == FAILED, later))
        if len(skipped) == len(later):
            yield "request.read_on", *end("finds no attempt left in this model", state, request, 503)
            return
        found, order = later[len(skipped)]
        what, reply = f"reads on to {found}", self.reply(order, request) if order else 0
        then = request._replace(step="reserve", order_id=found, answer="", reply=reply)
        due = tuple(i for i, attempt in later[: len(skipped)] if attempt and attempt.release_due)
        if request.answer == UNKNOWN:
            yield "request.read_on", *end(what, state, then, reply or 503)
        elif due and self.without is not Rule.RELEASE_SKIPPED:
            yield "request.read_on", what, state, then._replace(step="release", releases=due)
        elif reply:
            yield "request.read_on", *end(what, state, then, reply)
        else:
            yield "request.read_on", what, state, then

    # a worker

    def work(self, state: State, worker: Worker) -> Iterator[Work]:
        """Yield what a worker may do next, and that it dies; an idle one begins with anything that is to be done."""
        if worker.step != IDLE:
            yield from getattr(self, f"worker_{worker.step}")(state, worker.order_id)
            yield "crash", "dies", state, Worker()
            return
        for i, (order, found) in enumerate(zip(state.orders, state.reservations, strict=True)):
            if order and order.release_due:
                early = self.without is Rule.RELEASE_BEFORE_UNSET
                yield from (
                    self.worker_released(state, i, "release") if early else self.worker_release(state, i, "released")
                )
            if order and order.in_outbox:
                early = self.without is Rule.PUBLISH_BEFORE_REMOVE
                yield from self.worker_published(state, i, "publish") if early else self.worker_publish(state, i)
            if found and found.cursor == AHEAD:
                after = pass_by(state, i) if self.without is Rule.ADVANCE_LAST else state
                yield "worker.list", f"lists reservation {i}", after, Worker("compare", i)
        if any(r and r.cursor in (BEHIND, PASSED) for r in state.reservations) and self.without is not Rule.STEP_BACK:
            ahead = tuple(r and (r._replace(cursor=AHEAD) if r.cursor else r) for r in state.reservations)
            yield "worker.step_back", "moves its cursor back", state._replace(reservations=ahead), Worker()

    def worker_compare(self, state: State, order_id: int) -> Iterator[Work]:
        """Read the order of a held reservation; one that lives keeps its stock."""
        order = self.seen(state, order_id)
        if not order:
            step = "release" if self.without is Rule.NOTE_BEFORE_RELEASE else "note"
        else:
            keeps_stock = order.status == CONFIRMED or self.without is Rule.COMPARE_ALL
            step = "advance_cursor" if keeps_stock else "release"
        what = f"reads {order_id}: {order.status if order else 'none'}"
        yield "worker.compare", what, state, Worker(step, order_id)

    def worker_note(self, state: State, order_id: int) -> Iterator[Work]:
        """Insert a failed order whose release is due; if its id is taken, read again."""
        note = Order(FAILED, release_due=self.without is not Rule.NOTE_WITH_RELEASE)
        after, inserted = self.write(state, order_id, note)
        if inserted:
            step = "advance_cursor" if note.release_due else "release"
            yield "worker.note", f"inserts {order_id}: failed", after, Worker(step, order_id)
        else:
            step = "release" if self.without is Rule.TAKEN_ID_IS_DECIDED else "compare"
            yield "worker.note", f"finds id {order_id} taken", state, Worker(step, order_id)
        if self.inserts_late:
            yield "lost", f"has no answer to the insert of {order_id}", write_later(state, order_id, note), Worker()

    def worker_release(self, state: State, order_id: int, step: str = "advance_cursor") -> Iterator[Work]:
        """Send DELETE, for what was compared or for what is due; without an answer it is sent again later."""
        if self.without is Rule.NOTE_BEFORE_RELEASE and not state.orders[order_id]:
            step = "note"
        yield "worker.release", f"sends DELETE {order_id}", self.give_back(state, order_id), Worker(step, order_id)
        yield "lost", f"has no answer to DELETE {order_id}", send(state, "DELETE", order_id), Worker()

    def worker_released(self, state: State, order_id: int, step: str = IDLE) -> Iterator[Work]:
        """Note that the release is not due any more."""
        after = update(state, order_id, release_due=False)
        yield "worker.released", f"notes {order_id} as released", after, working(step, order_id)

    def worker_advance_cursor(self, state: State, order_id: int) -> Iterator[Work]:
        """Move the cursor past what was compared."""
        yield "worker.advance_cursor", f"moves its cursor past {order_id}", pass_by(state, order_id), Worker()

    def worker_publish(self, state: State, order_id: int) -> Iterator[Work]:
        """Publish an order's event and wait for the broker's confirm."""
        after = state._replace(published=state.published | {order_id})
        step = IDLE if self.without is Rule.PUBLISH_BEFORE_REMOVE else "published"
        yield "worker.publish", f"publishes the event of {order_id}", after, working(step, order_id)

    def worker_published(self, state: State, order_id: int, step: str = IDLE) -> Iterator[Work]:
        """Take the event out of the outbox."""
        after = update(state, order_id, in_outbox=False)
        yield "worker.published", f"takes the event of {order_id} out of the outbox", after, working(step, order_id)

    # everything else

    def late(self, state: State) -> Iterator[Transition]:
        """Yield what takes effect though nobody waits for it any more."""
        for method, i, lines in sorted(state.messages):
            if method == "DELETE":
                yield "product.give_back", f"a late DELETE {i}", self.give_back(state, i)
                continue
            for after, _, what in self.take(state, i, lines):
                yield "product.take", f"a late {what}", after
        for i, order in sorted(state.inserts):
            after, _ = self.write(state, i, order)
            yield "late", f"insert of {i}: {order.status}", after._replace(inserts=state.inserts - {(i, order)})

    def customers_and_time(self, state: State) -> Iterator[Transition]:
        """Yield cancellations, and what expires; meanwhile all that was under way has come or is gone."""
        for i, found in enumerate(state.orders):
            if self.cancels and found and found.status == CONFIRMED:
                due = self.without is not Rule.CANCEL_WITH_RELEASE
                yield "customer.cancel", f"of {i}", update(state, i, status=CANCELLED, release_due=due)
        for i, record in enumerate(state.reservations):
            if self.expires and record and record.state != HELD and self.is_quiet(state):
                after = state._replace(reservations=with_item(state.reservations, i, None))
                yield "product.expire", f"of {i}, after 7 days", after._replace(messages=NONE, inserts=NONE)

    def is_quiet(self, state: State) -> bool:
        """Return if no request is in flight and all workers are idle."""
        waiting = all(r.step == "reserve" and r.order_id in (0, self.attempts) for r in state.requests)
        return waiting and all(worker.step == IDLE for worker in state.workers)
