"""Placing an order, a saga, as an executable specification, which `./dev model` searches.

Order ids are numbers: 0, 1, ... are the attempts of one Idempotency-Key, the last is another customer's, without a key.
Bodies are numbers too: 0 and 2 have the same lines and differ in the rest, 1 has other lines.
docs/architecture.md describes the same in prose. Each action is named in actions.py, and yielded where its actor acts.
"""

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

from tests.model.search import Move, Transition, interleave


class Rule(Enum):  # what the design demands; a search without one of them finds a broken invariant
    RELEASE_ONCE = "A repeated DELETE gives nothing back."
    TOMBSTONE = "A DELETE that comes before its PUT is recorded, and refuses that PUT."
    UNIQUE_ID = "An order is inserted and never overwrites another: its id is the compare-and-set."
    MAJORITY_READ = "Orders are read with read concern majority: a new primary may roll other writes back."
    TAKEN_ID_IS_DECIDED = "An insert that finds its id taken means that the order is decided, perhaps otherwise."
    ONLY_FAILED_FREES_KEY = "Only a failed order leads to a next attempt; a rejected or cancelled one is the answer."
    ATTEMPT_NUMBER = "A failed order stays failed; the next attempt has an id of its own."
    WHOLE_BODY = "A repeat is answered with the order only if its whole body is the same."
    OTHER_LINES_WRITE_NOTHING = "After a 409 for other lines no order is inserted."
    RELEASED_IS_FAILED = "After a 409 for a released reservation only a failed order is inserted."
    NO_DELETE_BEFORE_STATUS = "A request sends DELETE only after it has written or read a status that holds no stock."
    RELEASE_BEFORE_NEXT = "A failed attempt is released before the next one takes stock."
    RELEASE_SKIPPED = "A failed attempt that reading on skips is released too, if its release is still due."
    NOTE_BEFORE_RELEASE = "The worker writes a failed order before a reservation without an order is released."
    NOTE_WITH_RELEASE = "The write of a failed order also makes its release due."
    COMPARE_ALL = "The worker also releases a reservation whose order is failed, rejected or cancelled."
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
    replied: frozenset[tuple[int, int, int]] = frozenset()  # id, body, and the 201 or 409 that a customer got
    published: frozenset[int] = frozenset()

    def put(self, i: int, taken: int = 0, **changes: Any) -> "State":
        records = (*self.records[:i], self.records[i]._replace(**changes), *self.records[i + 1 :])
        return self._replace(stock=self.stock - taken, records=records)

    def send(self, *message: Any) -> "State":
        return self._replace(late=self.late | {message})


IDLE = Process("worker", "begin")
REPLIES = {"confirmed": 201, "cancelled": 201, "rejected": 409}


class Saga(NamedTuple):  # the participants, the actions that never happen (to search less), and the rule left out
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

    def transitions(self, state: State) -> Iterator[Transition]:
        """Yield all that can happen next."""
        for moves in (interleave(state.processes, partial(self.act, state)), self.surroundings(state)):
            for action, what, after in moves:
                late = frozenset(m for m in after.late if self.take_effect(after, *m) != after)
                yield action, what, after._replace(late=late)

    def act(self, state: State, me: Process) -> Iterator[Move]:
        yield from (self.worker if me.who == "worker" else self.request)(state, me)
        if me.step not in ("begin", "reserve"):
            yield "crash", "dies", state, IDLE if me.who == "worker" else me._replace(reply=-1)

    def take(self, state: State, i: int, body: int) -> tuple[str, State]:  # PUT: one transaction
        found, lines = state.records[i], body % 2
        if found.reservation != "none":
            is_same = found.lines == lines or found.reservation == "released"
            return found.reservation if is_same else "other lines", state
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
        """Yield an action, what happens in words, and the state and the request after it; first without a fault."""
        i, answer, order = me.i, me.answer, self.read(state, me.i)
        if me.step == "reserve":
            answer, after = self.take(state, i, me.body)
            step = "insert" if answer in ("taken", "refused") else "read"
            yield "request.reserve", f"sends PUT {i}: {answer}", after, me._replace(step=step, answer=answer)
            sent = state.send("product.take", i, me.body, "PUT")
            gone = self.give_back(sent, i) if self.without is Rule.NO_DELETE_BEFORE_STATUS else sent
            yield "lost", f"has no answer to PUT {i}", gone, me._replace(step="read", answer="unknown")
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
            yield "lost insert", f"has no answer to the insert of {i}", sent, me._replace(reply=503)
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
        """Let a request do what the order says that it has read or written."""
        i, answer, step, reply = me.i, me.answer, "reserve" if me.step == "read_on" else "insert", 0
        if order == "failed" and self.without is Rule.ATTEMPT_NUMBER:
            state, order = state.put(i, order="confirmed", body=me.body), "confirmed"
        if order == "none" and (answer != "other lines" or self.without is Rule.OTHER_LINES_WRITE_NOTHING):
            reply = 503 if answer == "unknown" and i < self.attempts else 0
        elif order == "failed" or order == "cancelled" and self.without is Rule.ONLY_FAILED_FREES_KEY:
            is_released = answer in ("unknown", "released") or self.without is Rule.RELEASE_BEFORE_NEXT
            step, reply = "read_on" if is_released else "release", 0 if i + 1 < self.attempts else 503
        elif order in ("rejected", "cancelled") and answer in ("taken", "held"):
            step = "release"
        else:
            is_same = state.records[i].body == me.body or self.without is Rule.WHOLE_BODY
            reply = REPLIES.get(order, 422) if is_same else 422
        replied = {(i, me.body, reply)} if reply in (201, 409) else set()
        return what, state._replace(replied=state.replied | replied), me._replace(step=step, reply=reply)

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
            unnoted = "release" if self.without is Rule.NOTE_BEFORE_RELEASE else "note"
            step = "advance_cursor" if stays else "make_due" if order != "none" else unnoted
            yield "worker.compare", f"reads {i}: {order}", state, me._replace(step=step)
        elif me.step == "note":
            inserted = self.insert(state, i, 0, "failed")
            is_due = inserted and self.without is not Rule.NOTE_WITH_RELEASE
            then = me._replace(step="advance_cursor" if is_due else "make_due")
            yield "worker.note", f"inserts {i}: {'failed' if inserted else 'taken'}", inserted or state, then
            yield "lost insert", f"has no answer to the insert of {i}", state.send("late insert", i, 0, "failed"), IDLE
        elif me.step == "make_due":
            is_stray, then = state.records[i].order not in ("none", "confirmed"), me._replace(step="advance_cursor")
            yield "worker.make_due", f"makes the release of {i} due", state.put(i, release_due=is_stray), then
        elif me.step == "release":
            then = me._replace(step="released" if me.answer == "due" else "advance_cursor", answer="")
            yield "worker.release", f"sends DELETE {i}", self.give_back(state, i), then
            yield "lost", f"has no answer to DELETE {i}", state.send("product.give_back", i, 0, "DELETE"), IDLE
        else:
            changes: dict[str, Any] = {"released": {"release_due": False}, "published": {"in_outbox": False}}
            passed = {"cursor": "passed" if state.records[i].cursor else ""}
            yield f"worker.{me.step}", f"is done with {i}", state.put(i, **changes.get(me.step, passed)), IDLE

    def surroundings(self, state: State) -> Iterator[Transition]:  # customers, time, what comes late
        for i, record in enumerate(state.records):
            if record.order == "confirmed":
                yield "customer.cancel", f"of {i}", state.put(i, order="cancelled", release_due=True)
            if record.reservation in ("refused", "released") and self.is_quiet(state):
                after = state.put(i, reservation="none", lines=0)._replace(late=frozenset())
                yield "product.expire", f"of {i}, long after all that was under way", after
            if record.cursor == "ahead":
                yield "late commit", f"of reservation {i}", state.put(i, cursor="behind")
        for message in sorted(state.late):
            yield message[0], f"{message[3]} {message[1]}, late", self.take_effect(state, *message)

    def take_effect(self, state: State, action: str, i: int, body: int, order: str) -> State:  # late
        if action == "late insert":
            return self.insert(state, i, body, order) or state
        return self.take(state, i, body)[1] if action == "product.take" else self.give_back(state, i)

    def is_quiet(self, state: State) -> bool:
        return all(p.step in ("begin", "reserve") and p.i in (-1, 0, self.attempts) for p in state.processes)

    def invariants(self, state: State) -> dict[str, bool]:
        """Return whether each invariant holds; the numbers are those of the guarantees in docs/architecture.md."""
        records, keyed, kept = state.records, state.records[: self.attempts], state.published
        living, held = [r for r in records if r.order == "confirmed"], [r for r in records if r.reservation == "held"]
        stood = {i for i, r in enumerate(records) if r.order in ("confirmed", "cancelled")}
        strays = [r for r in held if r.order != "confirmed"]
        ended = [r for r in strays if r.order in ("failed", "cancelled") and not r.release_due]
        cursors = ("ahead",) if self.without is Rule.STEP_BACK else ("ahead", "behind")
        is_busy = any(r.release_due or r.cursor in cursors for r in records) or not self.is_quiet(state)
        true = {(i, r.body, REPLIES.get(r.order)) for i, r in enumerate(records)}
        replied = {body: (i, reply) for i, body, reply in state.replied if i < self.attempts}
        now = {body: repeat(self, State(state.stock, records, ()), body) for body in set(self.bodies)}
        is_answered = all(r.order == "failed" for r in keyed) or all(reply != 503 for _, reply in now.values())
        return {
            "stock adds up and is never oversold": state.stock + len(held) == 1 and len(living) <= 1,  # 1
            "a living order has exactly its stock": all(r in held and r.lines == r.body % 2 for r in living),  # 2
            "every reply to a customer stays true": state.replied <= true,  # 2
            "the event of every order gets published": all(i in kept or records[i].in_outbox for i in stood),  # 2
            "a key has one order": sum(r.order not in ("none", "failed") for r in keyed) <= 1,  # 3
            "a repeat is answered as before": is_answered and all(replied[b] == now.get(b) for b in replied),  # 3
            "no stock is stuck at rest": is_busy or not strays,  # 4
            "released stock stays released": "product.expire" not in self.never or not ended,  # 4
            "dead attempts take no stock from the next": self.other or all(r.order != "rejected" for r in records),  # 4
            "only events of orders get published": kept <= stood,  # 5
        }


@lru_cache(1_000_000)
def repeat(saga: Saga, state: State, body: int) -> tuple[int, int]:
    """Return the id and the reply of a repeat that is alone and meets no fault: it always makes its first move."""
    request = Process("request", "reserve", 0, body)
    while not request.reply:
        _, _, state, request = next(saga.request(state, request))
    return request.i, request.reply
