"""What must hold in every state, and the breadth-first search that finds a shortest way to where it does not."""

from collections.abc import Callable
from functools import lru_cache

from tests.model.saga import Process, Record, Rule, Saga, State


def invariants(saga: Saga, state: State) -> dict[str, bool]:
    """Return which invariants hold; the numbers are those of the promises in docs/architecture.md."""
    records, keyed, kept = state.records, state.records[: saga.attempts], state.published
    living = [r for r in records if r.order == "confirmed"]
    stood = {i for i, r in enumerate(records) if r.order in ("confirmed", "cancelled")}
    held = [r for r in records if r.reservation == "held"]
    strays = [r for r in held if r.order != "confirmed"]
    lasting = [r for r in strays if r.order in ("failed", "cancelled") and not r.release_due]
    told = [(records[i], body, i in stood if n == 201 else records[i].order == "rejected") for i, body, n in state.told]
    cursors = ("ahead",) if saga.without is Rule.STEP_BACK else ("ahead", "behind")
    is_busy = any(r.release_due or r.cursor in cursors for r in records) or not saga.is_quiet(state)
    before = {body: (i, reply) for i, body, reply in state.told if i < saga.attempts}
    repeats = [(repeat(saga, State(state.stock, records, ()), body), before.get(body)) for body in set(saga.bodies)]
    no_attempt_left = all(r.order == "failed" for r in keyed)  # in the model; the shop always has another
    return {
        "stock adds up and is never oversold": state.stock + len(held) == 1 and len(living) <= 1,  # 1
        "a living order has exactly its stock": all(r in held and r.lines == r.body % 2 for r in living),  # 2
        "what a customer was told is true": all(r.body == body and is_true for r, body, is_true in told),  # 2
        "the event of every order gets published": all(i in kept or records[i].in_outbox for i in stood),  # 2
        "a key has one order": sum(r.order not in ("none", "failed") for r in keyed) <= 1,  # 3
        "a repeat is answered as before": no_attempt_left
        or all(a[1] != 503 and a == (b or a) for a, b in repeats),  # 3
        "no stock is stuck at rest": is_busy or not strays,  # 4
        "what was released stays released": "product.expire" not in saga.never or not lasting,  # 4
        "dead attempts take no stock from the next": saga.other or all(r.order != "rejected" for r in records),  # 4
        "only events of orders get published": kept <= stood,  # 5
    }


@lru_cache(1_000_000)
def repeat(saga: Saga, state: State, body: int) -> tuple[int, int]:
    """Return the id and the reply of a repeat that is alone and meets no fault: it takes the first of its moves."""
    request = Process("request", "reserve", 0, body)
    while not request.reply:
        _, _, state, request = next(saga.request(state, request))
    return request.i, request.reply


def has_effect(record: Record, action: str) -> bool:  # if it takes place late; reservations expire only after it
    waits_for = ("none", "held") if action == "product.give_back" else ("none",)
    return (record.order if action == "late insert" else record.reservation) in waits_for


def search(
    saga: Saga, only: str = "", limit: int = 10**9, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[int, str, tuple[str, ...]]:
    """Visit all states, up to the limit, and return their number, the first invariant that is broken, the way to it.

    Only a state's 64-bit hash is kept: among 20 million, two are the same with 1 : 90,000, and one would be missed.
    """
    frontier: list[tuple[State, tuple[str, ...]]] = [(saga.start(), ())]
    seen, depth = {hash(saga.start())}, 0
    while frontier and len(seen) <= limit:
        nearer, frontier, depth = frontier, [], depth + 1
        for state, way in nearer:
            for action, what, after in saga.transitions(state):
                after = after._replace(late=frozenset(m for m in after.late if has_effect(after.records[m[1]], m[0])))
                if action in saga.never or (key := hash(after)) in seen:
                    continue
                seen.add(key)
                frontier.append((after, (*way, f"{action}: {what}")))
                for name, holds in invariants(saga, after).items():
                    if not holds and name in (only or name):
                        return len(seen), name, frontier[-1][1]
        progress(depth, len(seen))
    return len(seen), "", ()
