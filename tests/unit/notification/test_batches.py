"""The consumer handles messages in batches, and never acknowledges an unsettled message."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pika
import pytest
from pika.exceptions import AMQPError

from chassis.heartbeat import Heartbeat
from notification_service.consumer import Consumer
from notification_service.delivery import Disposition, Outcome
from notification_service.messages import Message
from notification_service.session import MAX_BATCH, ConsumerSession
from notification_service.topology import Topology
from tests.waiting import until


class FakeBroker:
    """A connection and its channel: delivers messages, and records which are settled and moved."""

    is_open = True
    consumer_tags = ("consumer",)

    def __init__(self) -> None:
        self.settled: list[tuple[int, bool]] = []
        self.moved: list[tuple[str, bytes]] = []
        self.unsettled: list[int] = []
        self._deliveries = 0
        self._callbacks: list[Callable[[], None]] = []

    def channel(self) -> "FakeBroker":
        return self

    def confirm_delivery(self) -> None:
        pass

    def queue_declare(self, _queue: str, *, passive: bool) -> None:
        assert passive

    def basic_qos(self, *, prefetch_count: int) -> None:
        self.prefetch = prefetch_count

    def basic_consume(self, _queue: str, callback: Any) -> str:
        self._deliver = callback
        return "consumer"

    def basic_publish(self, _exchange: str, queue: str, body: bytes, _properties: Any, **_options: Any) -> None:
        if body:
            self.moved.append((queue, body))

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        """Acknowledge as RabbitMQ does: it closes the channel for an unknown tag."""
        assert tag in self.unsettled
        self.unsettled = [one for one in self.unsettled if not (one == tag or multiple and one < tag)]
        self.settled.append((tag, multiple))

    def add_callback_threadsafe(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def process_data_events(self, _seconds: float) -> None:
        while self._callbacks:
            self._callbacks.pop(0)()

    def deliver(self, *bodies: bytes) -> None:
        for body in bodies:
            self._deliveries += 1
            self.unsettled.append(self._deliveries)
            self._deliver(self, pika.spec.Basic.Deliver(delivery_tag=self._deliveries), pika.BasicProperties(), body)


class Handling:
    """Handles batches: each body names its disposition, and the body `hold` waits until a test releases it."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.released = threading.Event()

    def __call__(self, batch: Sequence[Message]) -> list[Outcome]:
        bodies = [message.body for message in batch]
        self.batches.append(bodies)
        if b"hold" in bodies:
            self.released.wait(10)
        dispositions = Disposition.__members__
        return [Outcome(dispositions.get(body.decode(), Disposition.ACKNOWLEDGE), "a reason") for body in bodies]


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def handling() -> Iterator[Handling]:
    handling = Handling()
    yield handling
    handling.released.set()


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


def started(broker: FakeBroker, pool: Executor, handling: Handling, **pace: float) -> ConsumerSession:
    topology = Topology(("notifications.retry.5s", "notifications.retry.30s"))
    session = ConsumerSession(broker, pool, handling, topology, prefetch=250, **pace)
    session.start()
    return session


@pytest.fixture
def session(broker: FakeBroker, pool: Executor, handling: Handling) -> ConsumerSession:
    return started(broker, pool, handling)


def work_until(session: ConsumerSession, condition: Callable[[], bool]) -> None:
    def works() -> bool:
        session.work()
        return condition()

    until(works, "the session has done its work", seconds=10)


def test_messages_that_are_delivered_together_are_one_batch_with_one_acknowledgement(
    session: ConsumerSession, broker: FakeBroker, handling: Handling
) -> None:
    broker.deliver(b"a", b"b", b"c")
    work_until(session, lambda: not broker.unsettled)
    assert (handling.batches, broker.settled) == ([[b"a", b"b", b"c"]], [(3, True)])


def test_messages_that_arrive_while_a_batch_is_handled_are_the_next_batch(
    broker: FakeBroker, pool: Executor, handling: Handling
) -> None:
    session = started(broker, pool, handling, slow_batch=60.0)
    broker.deliver(b"hold")
    work_until(session, lambda: bool(handling.batches))
    for body in (b"a", b"b"):
        broker.deliver(body)
        session.work()
    handling.released.set()
    work_until(session, lambda: not broker.unsettled)
    assert handling.batches == [[b"hold"], [b"a", b"b"]]


def test_a_single_message_is_handled_at_once_and_the_next_ones_together(
    broker: FakeBroker, pool: Executor, handling: Handling
) -> None:
    session = started(broker, pool, handling, batch_interval=0.5)
    for body in (b"a", b"b", b"c"):
        broker.deliver(body)
        session.work()
    until(lambda: handling.batches, "the first message is handled", seconds=0.4)
    work_until(session, lambda: not broker.unsettled)
    assert handling.batches == [[b"a"], [b"b", b"c"]]


def test_a_slow_batch_delays_no_other_and_is_not_acknowledged_with_it(
    session: ConsumerSession, broker: FakeBroker, handling: Handling
) -> None:
    broker.deliver(b"hold")
    work_until(session, lambda: bool(handling.batches))
    broker.deliver(b"a", b"b")
    started = time.monotonic()
    work_until(session, lambda: len(broker.unsettled) == 1)
    assert time.monotonic() - started < 5
    assert broker.settled == [(2, False), (3, False)]
    handling.released.set()
    work_until(session, lambda: not broker.unsettled)


def test_a_batch_has_a_maximum_size(session: ConsumerSession, broker: FakeBroker, handling: Handling) -> None:
    broker.deliver(*[b"a"] * (MAX_BATCH + 1))
    work_until(session, lambda: not broker.unsettled)
    assert list(map(len, handling.batches)) == [MAX_BATCH, 1]


@pytest.mark.parametrize(
    ("disposition", "moved"),
    [
        (b"RETRY", ["notifications.retry.5s"]),
        (b"DEFER", ["notifications.retry.5s"]),
        (b"DEAD_LETTER", ["notifications.dead"]),
        (b"UNSETTLED", []),
    ],
)
def test_an_unsent_message_is_settled_alone_and_not_acknowledged_with_the_others(
    session: ConsumerSession, broker: FakeBroker, disposition: bytes, moved: list[str]
) -> None:
    broker.deliver(b"a", b"b", disposition, b"c")
    unsettled = [3] if disposition == b"UNSETTLED" else []
    work_until(session, lambda: broker.unsettled == unsettled)
    assert broker.settled == [(2, True), (4, False), *[(3, False) for _ in moved]]
    assert [queue for queue, _ in broker.moved] == moved


def test_an_unsettled_message_is_never_acknowledged_with_later_messages(
    session: ConsumerSession, broker: FakeBroker
) -> None:
    broker.deliver(b"UNSETTLED")
    work_until(session, lambda: True)
    broker.deliver(b"a", b"b")
    work_until(session, lambda: len(broker.settled) == 2)
    assert broker.unsettled == [1]


def test_a_session_that_stops_leaves_messages_that_are_not_in_work(
    session: ConsumerSession, broker: FakeBroker, handling: Handling
) -> None:
    broker.basic_cancel = lambda _tag: broker.deliver(b"late")  # type: ignore[attr-defined]
    broker.deliver(b"a")
    session.work()
    broker.deliver(b"b")
    session.finish()
    assert (handling.batches, broker.unsettled) == ([[b"a"]], [2, 3])


@pytest.mark.parametrize("outages", [1, 2, 3])
def test_each_outage_is_logged_once_however_often_it_is_tried(caplog: pytest.LogCaptureFixture, outages: int) -> None:
    stop = threading.Event()
    starts = ["fails", "fails", "succeeds"] * outages

    class FakeSession:
        """Starts at the third attempt of each outage. Its work is the next outage, or the end of the test."""

        def start(self) -> None:
            if starts.pop(0) == "fails":
                raise AMQPError("away")

        def work(self) -> None:
            if starts:
                raise AMQPError("away")
            stop.set()

        def finish(self) -> None:
            pass

        close = finish

    Consumer(FakeSession, Heartbeat(), max_delay=0.0).run(stop)  # type: ignore[arg-type]
    assert len([r for r in caplog.records if "connection to RabbitMQ lost" in r.getMessage()]) == outages
