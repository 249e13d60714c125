"""The life of an order through the real services: races, delays, outages, clocks that are wrong."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import order_service
from chassis.config import ConfigurationError
from order_service import app
from order_service.product_client import CALL_DEADLINE
from tests import ephemeral_servers
from tests.at_once import at_once, meanwhile
from tests.integration import dying, order_processes
from tests.integration.order_stack import ANA, STOCK, RecordedEvents, Stack, order_stack
from tests.model.actions import ACTIONS, CLIENT
from tests.reconciling import reconcile
from tests.waiting import until
from tools.stack.mongodb import MongoServer

STEPS = [
    f"{when} {place}"
    for place in (
        ACTIONS["request.reserve"],
        f"{CLIENT}._send",
        ACTIONS["request.insert"],
        "pymongo.collection:Collection.insert_one",
    )
    for when in ("before", "after")
]


@pytest.fixture
def patient_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let order-service wait for product-service while another process is started."""
    monkeypatch.setattr(app, "ProductClient", dying.PatientClient)


@pytest.fixture
def stack(mongo_server: MongoServer) -> Iterator[Stack]:
    with order_stack(mongo_server) as stack:
        yield stack


def test_an_order_is_placed_shipped_and_delivered(stack: Stack) -> None:
    placed = stack.order(3)
    order_id = placed.json["id"]
    assert (placed.status_code, placed.json["total"], stack.stock()) == (201, "59.97", STOCK - 3)
    assert [stack.act(order_id, action).json["status"] for action in ("ship", "deliver")] == ["shipped", "delivered"]
    assert stack.act(order_id, "cancel").status_code == 409
    stack.recover()
    assert stack.events.ids == [f"{order_id}.order_{what}" for what in ("created", "shipped", "delivered")]
    assert "due" not in stack.orders.find_one({"_id": order_id})
    assert stack.stock() == STOCK - 3
    stack.check_invariants()


def test_a_cancelled_order_gives_its_stock_back_once(stack: Stack) -> None:
    order_id = stack.order(3).json["id"]
    answers = at_once(4, lambda _: stack.act(order_id, "cancel"))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    stack.recover()
    assert stack.stock() == STOCK
    assert stack.events.ids == [f"{order_id}.order_created", f"{order_id}.order_cancelled"]
    stack.check_invariants()


def test_an_order_for_too_much_is_rejected_and_its_repeat_gets_the_same_answer(stack: Stack) -> None:
    answers = [stack.order(STOCK + 1, key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[1].json["lines"] == [{"product_id": "mug", "requested": STOCK + 1, "available": STOCK}]
    unknown = [stack.order(1, key="u", product_id="nothing") for _ in range(2)]
    assert [(answer.status_code, answer.json["type"]) for answer in unknown] == [(422, "unknown-product")] * 2
    stack.recover()
    assert (stack.states(), stack.events.ids) == (["rejected", "rejected"], [])
    stack.check_invariants()


def test_eight_requests_with_one_key_at_once_make_one_order(stack: Stack) -> None:
    for turn in range(5):
        answers = at_once(8, lambda _, key=f"k{turn}": stack.order(1, key=key))
        assert {answer.status_code for answer in answers} <= {201, 503}
        assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1
    assert (stack.states(), stack.stock()) == (["confirmed"] * 5, STOCK - 5)
    stack.check_invariants()


@pytest.mark.usefixtures("patient_client")
@pytest.mark.parametrize("when", ["before", "after"])
def test_two_processes_with_one_key_make_one_order_even_if_one_is_killed(stack: Stack, when: str) -> None:
    """During the reservation another process places the same order, and dies at each of its steps."""
    dying.start_server()
    body = {"product_id": "mug", "quantity": 1}
    for number, point in enumerate(["", *STEPS]):
        key = f"k{number}"

        def cross(method: str, _path: str, key: str = key, point: str = point) -> None:
            setattr(stack.gate, when, lambda _method, _path: None)
            assert method == "PUT"
            headers = ANA | {"Idempotency-Key": key}
            order_processes.run(order_processes.place, stack.settings, headers, body, point=point)

        setattr(stack.gate, when, cross)
        answer, repeat = stack.order(1, key=key), stack.order(1, key=key)
        assert (answer.status_code, repeat.status_code) == (201, 201), point
        assert (repeat.json["id"], stack.stock()) == (answer.json["id"], STOCK - 1 - number), point
        stack.check_invariants()


def test_the_last_units_are_sold_once(stack: Stack) -> None:
    answers = at_once(8, lambda _: [stack.order(1).status_code for _ in range(3)])
    codes = sorted(code for codes in answers for code in codes)
    assert codes.count(201) + codes.count(409) + codes.count(503) == 24
    stack.recover()
    assert codes.count(201) == stack.states().count("confirmed") == STOCK - stack.stock()
    if 503 not in codes:
        assert stack.stock() == 0
    stack.check_invariants()


def test_shipping_and_cancelling_at_once_ends_in_one_of_them(stack: Stack) -> None:
    for _ in range(5):
        order_id = stack.order(1).json["id"]
        answers = at_once(2, lambda number, order=order_id: stack.act(order, ("ship", "cancel")[number]))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
    stack.recover()
    assert stack.stock() == STOCK - stack.states().count("shipped")
    stack.check_invariants()


def test_workers_need_no_coordination(stack: Stack) -> None:
    stack.timings = replace(stack.timings, reconcile_age=0.0, reconcile_every=0.0)
    orders = [stack.order(1).json["id"] for _ in range(6)]
    for order_id in orders[:3]:
        stack.act(order_id, "cancel")
    order_processes.leave_reservations(stack, 2)
    workers = [stack.worker() for _ in range(3)]
    at_once(3, lambda number: [workers[number].work() for _ in range(8)])
    expected = {f"{order}.order_created" for order in orders} | {f"{order}.order_cancelled" for order in orders[:3]}
    assert set(stack.events.ids) == expected
    assert not stack.orders.count_documents({"due": {"$exists": True}})
    assert stack.stock() == STOCK - 3
    stack.check_invariants()


def test_two_workers_share_the_events(stack: Stack) -> None:
    published = [RecordedEvents(), RecordedEvents()]
    workers = [stack.worker(events, f"worker-{number}") for number, events in enumerate(published)]
    for worker in workers:
        worker.sharing.current()
    workers[0].sharing.next_run = 0
    stack.products.update_many({}, {"$inc": {"stock": 100, "received": 100}})
    orders = [stack.order(1, product_id="pen").json["id"] for _ in range(30)]
    at_once(2, lambda number: until(lambda: not workers[number].work(), "nothing is due"))
    assert sorted(event for events in published for event in events.ids) == sorted(f"{o}.order_created" for o in orders)
    assert min(len(events.ids) for events in published) > 3


def test_concurrent_orders_and_workers_keep_every_invariant(stack: Stack) -> None:
    stack.timings = replace(stack.timings, reconcile_age=0.0)
    stop = threading.Event()

    def shop(number: int) -> None:
        for turn in range(4):
            answer = stack.order(2, key=f"{number}-{turn}")
            if answer.status_code == 201 and turn % 2:
                assert stack.act(answer.json["id"], "cancel").status_code == 200

    with meanwhile(lambda: stack.worker().run(stop), threads=2, stop=stop):
        at_once(4, shop)
    stack.recover()
    created = {document["_id"] for document in stack.orders.find({"status": {"$in": ["confirmed", "cancelled"]}})}
    assert {event.partition(".")[0] for event in stack.events.ids} == created
    stack.check_invariants()


def test_a_repeat_finds_the_reservation_whose_answer_came_too_late(stack: Stack) -> None:
    """Product-service takes the stock, but answers after the caller has given up."""
    answer_now = threading.Event()
    stack.gate.after = lambda method, _path: method == "PUT" and answer_now.wait(10) and None
    started = time.monotonic()
    answer = stack.order(4, key="k")
    spent = time.monotonic() - started
    assert (answer.status_code, answer.json["type"]) == (503, "product-service-unavailable")
    assert spent < CALL_DEADLINE + 0.3
    assert (stack.states(), stack.stock()) == ([], STOCK - 4)
    answer_now.set()
    again = stack.order(4, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    assert (stack.states(), stack.stock()) == (["confirmed"], STOCK - 4)
    stack.check_invariants()


def test_a_request_that_nobody_repeats_is_noted_as_failed_and_released(stack: Stack) -> None:
    answer_now = threading.Event()
    stack.gate.after = lambda method, _path: method == "PUT" and answer_now.wait(10) and None
    assert stack.order(4, key="k").status_code == 503
    answer_now.set()
    stack.recover()
    assert (stack.states(), stack.stock()) == (["failed"], STOCK)
    again = stack.order(4, key="k")
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    stack.check_invariants()


def test_a_reservation_that_arrives_after_its_release_is_refused(stack: Stack) -> None:
    """The request is delayed on its way to product-service until its order has failed and is released."""
    arrive = threading.Event()
    arrived: list[str] = []

    def hold(method: str, path: str) -> None:
        if method == "PUT":
            assert arrive.wait(20)
            arrived.append(path)

    stack.gate.before = hold
    answer = stack.order(4)
    assert (answer.status_code, answer.json["type"]) == (503, "order-not-placed")
    stack.recover()
    sent = stack.gate.seen.count("PUT")
    (order,) = stack.orders.find()
    assert stack.reservations.find_one({"_id": order["_id"]})["state"] == "released"
    arrive.set()
    until(lambda: len(arrived) == sent, "the late requests have arrived")
    stack.stop_products()  # returns when its threads are through
    assert (stack.states(), stack.stock()) == (["failed"], STOCK)
    assert stack.reservations.find_one({"_id": order["_id"]})["state"] == "released"
    stack.check_invariants()


@pytest.mark.parametrize(("key", "status", "states"), [("k", 201, ["confirmed", "failed"]), (None, 503, ["failed"])])
def test_a_request_that_is_slower_than_the_worker_obeys_its_failed_order(
    stack: Stack, key: str | None, status: int, states: list[str]
) -> None:
    """The request pauses after its reservation for so long that the worker takes it for dead."""
    worker = stack.worker()

    def stand_still(method: str, _path: str) -> None:
        if method == "PUT":
            stack.gate.after = lambda _method, _path: None
            assert reconcile(worker, min_age=0) == 1

    stack.gate.after = stand_still
    assert stack.order(STOCK, key=key).status_code == status
    stack.recover()
    assert stack.states() == states
    assert stack.stock() == STOCK - STOCK * states.count("confirmed")
    assert len(stack.events.ids) == states.count("confirmed")
    stack.check_invariants()


def test_an_order_is_answered_while_product_service_is_away(stack: Stack) -> None:
    order_id = stack.order(4, key="k").json["id"]
    stack.stop_products()
    repeat = stack.order(4, key="k")
    assert (repeat.status_code, repeat.json["id"], repeat.headers["Idempotent-Replayed"]) == (201, order_id, "true")
    assert stack.order(5, key="k").status_code == 422


def test_a_key_whose_first_attempts_have_failed_leads_to_one_order(stack: Stack) -> None:
    dying.start_server()
    body = {"product_id": "mug", "quantity": STOCK}
    for _ in range(3):
        point = f"before {ACTIONS['request.insert']}"
        order_processes.run(order_processes.place, stack.settings, ANA | {"Idempotency-Key": "k"}, body, point=point)
        reconcile(stack.worker(), min_age=0)  # notes it as failed; its stock is not released yet
    assert (stack.states(), stack.stock()) == (["failed"] * 3, 0)
    answers = at_once(4, lambda _: stack.order(STOCK, key="k"))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1
    assert (stack.states(), stack.stock()) == (["confirmed", *["failed"] * 3], 0)
    stack.recover()
    stack.check_invariants()


def test_a_call_whose_answer_was_lost_is_repeated_and_takes_the_stock_once(stack: Stack) -> None:
    lost: list[str] = []

    def lose_the_first(method: str, path: str) -> None:
        if method == "PUT" and not lost:
            lost.append(path)
            raise RuntimeError("the connection broke")

    stack.gate.after = lose_the_first
    answer = stack.order(4)
    assert (answer.status_code, stack.gate.seen.count("PUT"), stack.stock()) == (201, 2, STOCK - 4)
    stack.check_invariants()


def test_without_product_service_orders_fail_promptly_and_nothing_leaks(stack: Stack) -> None:
    stack.stop_products()
    started = time.monotonic()
    answer = stack.order(4, key="k")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert time.monotonic() - started < CALL_DEADLINE
    assert stack.states() == []
    assert stack.order(4).status_code == 503
    stack.worker().work()
    assert "release" in stack.orders.find_one()
    stack.start_products()
    stack.recover()
    assert (stack.states(), stack.stock()) == (["failed"], STOCK)
    assert stack.order(4, key="k").status_code == 201
    stack.check_invariants()


def test_a_stray_reservation_is_released_once_and_the_cursor_is_kept(stack: Stack) -> None:
    stack.order(1)
    (stray,) = order_processes.leave_reservations(stack, 1)
    assert stack.stock() == STOCK - 2
    assert reconcile(stack.worker()) == 0  # it is not fifteen seconds old
    assert reconcile(stack.worker(), min_age=0) == 1
    stack.worker().work()
    assert (stack.orders.find_one({"_id": stray})["status"], stack.stock()) == ("failed", STOCK - 1)
    stack.gate.seen.clear()
    assert reconcile(stack.worker(), min_age=0) == 0
    assert stack.gate.seen == ["GET"]
    stack.check_invariants()


def test_a_reservation_that_becomes_visible_behind_the_cursor_is_found_a_day_later(stack: Stack) -> None:
    worker = stack.worker()
    stack.order(1)
    assert reconcile(worker, min_age=0) == 0
    worker.reconciler.cursor.step_back()
    (stray,) = order_processes.leave_reservations(stack, 1)
    past = datetime.now(UTC) - timedelta(hours=1)  # its transaction took its time long before its commit
    stack.reservations.update_one({"_id": stray}, {"$set": {"created_at": past}})
    assert reconcile(worker, min_age=0) == 0
    stack.worker_state.update_one({}, {"$set": {"passed.0.at": datetime.now(UTC) - timedelta(days=1)}})
    worker.reconciler.cursor.step_back()
    assert reconcile(worker, min_age=0) == 1
    stack.recover()
    stack.check_invariants()


def test_a_database_of_the_earlier_saga_is_refused(stack: Stack) -> None:
    stack.orders.create_index("idempotency_key", unique=True, sparse=True)
    with pytest.raises(ConfigurationError, match="--fresh"):
        order_service.create_app(stack.settings)
    with pytest.raises(ConfigurationError, match="--fresh"):
        stack.worker().run(threading.Event())


def test_order_service_answers_503_without_its_database_and_recovers_with_it(mongodb_program: str) -> None:
    with ephemeral_servers.mongodb(mongodb_program) as server, order_stack(server) as stack:
        assert stack.order(1).status_code == 201
        with ephemeral_servers.frozen(server):
            answer = stack.order(1)
            assert (answer.status_code, answer.json["type"], answer.headers["Retry-After"]) == (503, "unavailable", "2")
            assert stack.app.test_client().get("/health").status_code == 200
            assert stack.app.test_client().get("/ready").status_code == 503
        until(lambda: stack.order(1, key="k").status_code == 201, "orders succeed again", seconds=20)
        stack.recover()
        stack.check_invariants()


@pytest.mark.usefixtures("patient_client")
@pytest.mark.parametrize("ahead", [60.0, -60.0])
def test_a_worker_whose_clocks_are_a_minute_wrong_leaves_a_healthy_order_alone(stack: Stack, ahead: float) -> None:
    dying.start_server()
    stack.gate.before = lambda method, _path: (
        order_processes.run(order_processes.work, stack.settings, ahead=ahead) if method == "PUT" else None
    )
    assert stack.order(4).status_code == 201
    stack.gate.before = lambda _method, _path: None
    stack.recover()
    assert (stack.states(), stack.stock()) == (["confirmed"], STOCK - 4)


@pytest.mark.parametrize("ahead", [60.0, -60.0])
def test_an_order_placed_by_a_process_whose_clocks_are_wrong_has_the_databases_time(stack: Stack, ahead: float) -> None:
    dying.start_server()
    started = datetime.now(UTC)
    body = {"product_id": "mug", "quantity": 4}
    order_processes.run(order_processes.place, stack.settings, ANA, body, ahead=ahead)
    order = stack.orders.find_one()
    assert abs(order["created_at"] - started) < timedelta(seconds=5)
    stack.recover()
    assert (stack.states(), stack.stock()) == (["confirmed"], STOCK - 4)
