"""The saga of placing an order as an executable specification; docs/architecture.md tells the same in prose.

Order ids are numbers: 0, 1, ... are the attempts of one Idempotency-Key, the last is another customer's, without a key.
Bodies are numbers too: 0 and 2 have the same lines and differ in the rest, 1 has other lines.
To add an action: name it in ACTIONS with the function of the code that does it, and yield it where its actor acts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any, Literal, NamedTuple

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


class Rule(Enum):  # what the design demands; a search without one of them finds a broken promise
    RELEASE_ONCE = "A repeated DELETE gives nothing back."
    TOMBSTONE = "A DELETE that comes before its PUT is recorded, and refuses that PUT."
    UNIQUE_ID = "An order is inserted and never overwrites another: its id is the compare-and-set."
    MAJORITY_READ = "Orders are read with majority: what is just being written may be rolled back."
    TAKEN_ID_IS_DECIDED = "An insert that finds its id taken means that the order is decided, perhaps otherwise."
    ONLY_FAILED_FREES_KEY = "Only a failed order leads to a next attempt; a rejected or cancelled one is the answer."
    ATTEMPT_NUMBER = "A failed order stays failed; the next attempt has an id of its own."
    WHOLE_BODY = "A repeat is answered with the order only if its whole body is the same."
    OTHER_LINES_WRITE_NOTHING = "After a 409 for other lines no order is inserted."
    RELEASED_IS_FAILED = "After a 409 for a released reservation only a failed order is inserted."
    NO_DELETE_BEFORE_STATUS = "A request sends DELETE only after it has written or read a status that does not live."
    RELEASE_BEFORE_NEXT = "A failed attempt is released before the next one takes stock."
    RELEASE_SKIPPED = "So are the failed attempts that reading on skips, if their release is still due."
    NOTE_BEFORE_RELEASE = "The worker writes a failed order before a reservation without an order is released."
    NOTE_WITH_RELEASE = "The write of a failed order also makes its release due."
    COMPARE_ALL = "The worker also releases what has an order that is failed, rejected or cancelled."
    STEP_BACK = "The cursor steps back once a day, for reservations that were committed behind it."
    PUBLISH_BEFORE_REMOVE = "An event leaves the outbox only after the broker's confirm."


class Record(NamedTuple):  # under one id: a reservation in product-service, and an order in order-service
    reservation: Literal["none", "held", "refused", "released"] = "none"
    lines: int = 0
    cursor: Literal["", "ahead", "passed", "behind"] = ""  # the worker's; behind it: committed too late to be listed
    order: Literal["none", "confirmed", "cancelled", "rejected", "failed"] = "none"
    body: int = 0
    release_due: bool = False
    in_outbox: bool = False


class Process(NamedTuple):  # a request or a worker
    who: str
    step: str
    i: int = -1  # the id that it works on
    body: int = 0
    answer: str = ""  # to PUT: taken (just now); held, refused, released (before); other lines; unknown
    reply: int = 0  # with it a request ends


class State(NamedTuple):
    stock: int
    records: tuple[Record, ...]
    processes: tuple[Process, ...]
    late: frozenset[tuple[str, int, int, str]] = frozenset()  # action, id, body, PUT, DELETE or order: late or never
    told: frozenset[tuple[int, int, int]] = frozenset()  # id, body, and the 201 or 409 that a customer got
    published: frozenset[int] = frozenset()

    def put(self, i: int, taken: int = 0, **changes: Any) -> "State":
        records = (*self.records[:i], self.records[i]._replace(**changes), *self.records[i + 1 :])
        return self._replace(stock=self.stock - taken, records=records)

    def send(self, *message: Any) -> "State":
        return self._replace(late=self.late | {message})


Move = tuple[str, str, State, Process]  # an action, what happens in words, and the state and the process after it
IDLE, OVER = Process("worker", "begin"), ("rejected", "cancelled")


@dataclass(frozen=True)
class Saga:  # who takes part, what never happens, so that there is less to search, and the rule that is taken away
    bodies: tuple[int, ...] = (0, 0)  # of the requests with the key
    other: bool = True  # another customer's request
    attempts: int = 2
    workers: int = 1
    restored: bool = False  # an old backup of order-service's database has lost the order of attempt 0
    never: frozenset[str] = frozenset()
    without: Rule | None = None

    def start(self) -> State:
        requests = [Process(f"request {body}", "reserve", 0, body) for body in self.bodies]
        requests += [Process("other request", "reserve", self.attempts)] * self.other
        records = [Record("released" if self.restored else "none"), *[Record()] * (self.attempts - 1 + self.other)]
        return State(1, tuple(records), tuple(sorted([*requests, *[IDLE] * self.workers])))

    def transitions(self, state: State) -> Iterator[tuple[str, str, State]]:
        """Yield all that can happen next. Equal processes move once and are kept sorted: who is who does not matter."""
        for me in dict.fromkeys(state.processes):
            others = list(state.processes)
            others.remove(me)
            moves = (self.worker if me.who == "worker" else self.request)(state, me)
            dead = ("crash", "dies", state, IDLE if me.who == "worker" else me._replace(reply=500))
            for action, what, after, then in chain(moves, [dead] if me.step not in ("begin", "reserve") else []):
                processes = others if then.reply else sorted([*others, then])
                yield action, f"{me.who} {what}", after._replace(processes=tuple(processes))
        yield from self.surroundings(state)

    def take(self, state: State, i: int, body: int) -> tuple[str, State]:  # PUT: one transaction
        found, lines = state.records[i], body % 2
        if found.reservation != "none":
            return (
                found.reservation if found.reservation == "released" or found.lines == lines else "other lines",
                state,
            )
        if state.stock:
            return "taken", state.put(i, 1, reservation="held", lines=lines, cursor="ahead")
        return "refused", state.put(i, reservation="refused", lines=lines)

    def give_back(self, state: State, i: int) -> State:  # DELETE: one transaction
        found = state.records[i].reservation
        if found == "refused" or found == "none" and self.without is Rule.TOMBSTONE:
            return state
        back = found == "held" or found == "released" and self.without is Rule.RELEASE_ONCE
        return state.put(i, -back, reservation="released", lines=0, cursor="")

    def insert(self, state: State, i: int, body: int, order: str) -> State | None:  # None: the id is taken
        if state.records[i].order != "none" and self.without is not Rule.UNIQUE_ID:
            return None
        due, body = order == "failed" and self.without is not Rule.NOTE_WITH_RELEASE, body if order != "failed" else 0
        return state.put(i, order=order, body=body, release_due=due, in_outbox=order == "confirmed")

    def read(self, state: State, i: int) -> str:
        unsure = {at: order for action, at, _, order in sorted(state.late) if action == "late insert"}
        return unsure.get(i, state.records[i].order) if self.without is Rule.MAJORITY_READ else state.records[i].order

    def request(self, state: State, me: Process) -> Iterator[Move]:
        """Yield what a request may do; what happens without a fault comes first."""
        i, answer, order = me.i, me.answer, self.read(state, me.i)
        if me.step == "reserve":
            answer, after = self.take(state, i, me.body)
            step = "insert" if answer in ("taken", "refused") else "read"
            yield "request.reserve", f"sends PUT {i}: {answer}", after, me._replace(step=step, answer=answer)
            sent = state.send("product.take", i, me.body, "PUT")
            yield "lost", f"has no answer to PUT {i}", sent, me._replace(step="read", answer="unknown")
            yield "lost", f"has no answer to PUT {i}, sends it again", sent, me
        elif me.step == "insert":
            failing = ("unknown",) if self.without is Rule.RELEASED_IS_FAILED else ("unknown", "released")
            order = "rejected" if answer == "refused" else "failed" if answer in failing else "confirmed"
            inserted = self.insert(state, i, me.body, order)
            if inserted or self.without is Rule.TAKEN_ID_IS_DECIDED:
                yield "request.insert", *self.obey(f"inserts {i}: {order}", inserted or state, me, order)
            else:
                yield "request.insert", f"finds id {i} taken", state, me._replace(step="read")
            sent = state.send("late insert", i, me.body, order)
            yield "lost insert", f"has no answer to the insert of {i}, replies 503", sent, me._replace(reply=503)
            yield "lost insert", f"has no answer to the insert of {i}, runs it again", sent, me
        elif me.step == "release":
            after, me = self.give_back(state, i), me._replace(answer="released")
            yield "request.release", *self.obey(f"sends DELETE {i}", after, me, order)
        elif me.step == "read_on":
            order, due = self.read(state, i + 1), state.records[i + 1].release_due
            holds = due and answer != "unknown" and self.without is not Rule.RELEASE_SKIPPED
            me = me._replace(i=i + 1, answer="held" if holds else "unknown" if answer == "unknown" else "released")
            yield "request.read_on", *self.obey(f"reads on, {i + 1}: {order}", state, me, order)
        else:
            yield "request.read", *self.obey(f"reads {i}: {order}", state, me, order)

    def obey(self, what: str, state: State, me: Process, order: str) -> tuple[str, State, Process]:
        """Let a request do what the order demands that it has read or written."""
        i, answer, step, reply = me.i, me.answer, "reserve" if me.step == "read_on" else "insert", 0
        if order == "failed" and self.without is Rule.ATTEMPT_NUMBER:
            state, order = state.put(i, order="confirmed", body=me.body), "confirmed"
        if order == "none" and answer == "unknown" and self.without is Rule.NO_DELETE_BEFORE_STATUS:
            state = self.give_back(state, i)
        elif order == "none" and (answer != "other lines" or self.without is not Rule.OTHER_LINES_WRITE_NOTHING):
            reply = {"unknown": 503 if i < self.attempts else 0, "other lines": 422}.get(answer, 0)
        elif order == "failed" or order in OVER and self.without is Rule.ONLY_FAILED_FREES_KEY:
            is_released = answer in ("unknown", "released") or self.without is Rule.RELEASE_BEFORE_NEXT
            step, reply = "read_on" if is_released else "release", 0 if i + 1 < self.attempts else 503
        elif order in OVER and answer in ("taken", "held"):
            step = "release"
        elif order != "none":
            is_same = state.records[i].body == me.body or self.without is Rule.WHOLE_BODY
            reply = 422 if not is_same else 409 if order == "rejected" else 201
        told = {(i, me.body, reply)} if reply in (201, 409) else set()
        return (
            what + f", replies {reply}" * bool(reply),
            state._replace(told=state.told | told),
            me._replace(step=step, reply=reply),
        )

    def worker(self, state: State, me: Process) -> Iterator[Move]:
        i, order = me.i, self.read(state, me.i)
        if me.step == "begin":
            for i, record in enumerate(state.records):
                if record.release_due:
                    yield from self.worker(state, Process("worker", "release", i, answer="due"))
                if record.in_outbox:
                    confirmed = {i} if self.without is not Rule.PUBLISH_BEFORE_REMOVE else set()
                    after = state._replace(published=state.published | confirmed)
                    yield "worker.publish", f"publishes the event of {i}", after, me._replace(step="published", i=i)
                if record.cursor == "ahead":
                    yield "worker.list", f"lists reservation {i}", state, me._replace(step="compare", i=i)
            if {"passed", "behind"} & {r.cursor for r in state.records} and self.without is not Rule.STEP_BACK:
                records = tuple(r._replace(cursor="ahead" if r.cursor else "") for r in state.records)
                yield "worker.step_back", "moves its cursor back", state._replace(records=records), IDLE
        elif me.step == "compare":
            stays = order == "confirmed" or order != "none" and self.without is Rule.COMPARE_ALL
            is_noted = order != "none" or self.without is Rule.NOTE_BEFORE_RELEASE
            step = "advance_cursor" if stays else "release" if is_noted else "note"
            yield "worker.compare", f"reads {i}: {order}", state, me._replace(step=step)
        elif me.step == "note":
            inserted, last = self.insert(state, i, 0, "failed"), self.without is not Rule.NOTE_WITH_RELEASE
            step = "compare" if not inserted else "advance_cursor" if last else "release"
            what = f"inserts {i}: failed" if inserted else f"finds id {i} taken"
            yield "worker.note", what, inserted or state, me._replace(step=step)
            yield "lost insert", f"has no answer to the insert of {i}", state.send("late insert", i, 0, "failed"), IDLE
        elif me.step == "release":
            then = me._replace(step="released" if me.answer == "due" else "advance_cursor", answer="")
            yield "worker.release", f"sends DELETE {i}", self.give_back(state, i), then
            yield "lost", f"has no answer to DELETE {i}", state.send("product.give_back", i, 0, "DELETE"), IDLE
        else:
            changes: dict[str, Any] = {"released": {"release_due": False}, "published": {"in_outbox": False}}
            passed = {"cursor": "passed" if state.records[i].cursor else ""}
            yield f"worker.{me.step}", f"is done with {i}", state.put(i, **changes.get(me.step, passed)), IDLE

    def surroundings(self, state: State) -> Iterator[tuple[str, str, State]]:
        """Yield what customers and time do, and what takes effect though nobody waits for it any more."""
        for i, record in enumerate(state.records):
            if record.order == "confirmed":
                yield "customer.cancel", f"of {i}", state.put(i, order="cancelled", release_due=True)
            if record.reservation in ("refused", "released") and self.is_quiet(state):
                after = state.put(i, reservation="none", lines=0)._replace(late=frozenset())
                yield "product.expire", f"of {i}, long after all that was under way", after
            if record.cursor == "ahead":
                yield "late commit", f"of reservation {i}", state.put(i, cursor="behind")
        for action, i, body, order in sorted(state.late):
            changes = {"product.take": self.take(state, i, body)[1], "product.give_back": self.give_back(state, i)}
            yield action, f"{order} {i}, late", changes.get(action) or self.insert(state, i, body, order) or state

    def is_quiet(self, state: State) -> bool:
        return all(p.step in ("begin", "reserve") and p.i in (-1, 0, self.attempts) for p in state.processes)
