"""Each call of a store is timed; an outage counts; inside a recorded trace the call is a span."""

import json
from collections.abc import Iterator

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, NetworkTimeout, OperationFailure

from chassis.errors import Misconfigured, Unavailable
from chassis.mongo import retry_and_translate
from chassis.telemetry import context, tracing
from chassis.telemetry.context import SAMPLED, TraceContext
from chassis.telemetry.tracing import CLIENT
from tests.at_once import at_once
from tests.counted import samples, total
from tests.recorded_spans import FakeRecorder, recording
from tools.paths import ROOT

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", SAMPLED)
COUNT, SECONDS = "shop_store_duration_seconds_count", "shop_store_duration_seconds_sum"
SECRET = "@".join(["ana", "example.com"])


@retry_and_translate
class ObservedStore:
    """A store whose only method raises the given failures first."""

    def __init__(self, *failures: BaseException) -> None:
        self._failures = list(failures)

    def read(self, key: str) -> str:
        """Return the value of a key."""
        if self._failures:
            raise self._failures.pop(0)
        return f"{key} {context.trace_id()}".strip()

    def _inner(self) -> None:
        raise AssertionError


@pytest.fixture
def recorder() -> Iterator[FakeRecorder]:
    with recording() as recorder:
        yield recorder


def calls() -> float:
    return total(COUNT, verb="ObservedStore.read")


def outages() -> float:
    return total("shop_database_unavailable_total")


def test_a_call_is_timed_under_the_name_of_its_verb() -> None:
    before, seconds = calls(), total(SECONDS, verb="ObservedStore.read")
    assert ObservedStore().read("a") == "a"
    assert (calls(), outages()) == (before + 1, outages())
    assert 0 < total(SECONDS, verb="ObservedStore.read") - seconds < 10


def test_a_method_keeps_its_name_and_what_is_private_is_not_observed() -> None:
    assert (ObservedStore.read.__name__, ObservedStore.read.__doc__) == ("read", "Return the value of a key.")
    with pytest.raises(AssertionError):
        ObservedStore()._inner()
    assert f"{COUNT} ObservedStore._inner" not in samples()


@pytest.mark.parametrize(
    ("failure", "raised", "is_outage"),
    [
        (NetworkTimeout(SECRET), Unavailable, True),
        (OperationFailure(SECRET, 91), Unavailable, True),
        (OperationFailure(SECRET, 13), Misconfigured, True),
        (DuplicateKeyError(SECRET), DuplicateKeyError, False),
        (Unavailable("Too many orders of one product."), Unavailable, False),
        (KeyError(SECRET), KeyError, False),
    ],
)
def test_a_failure_is_timed_and_an_outage_counts(
    recorder: FakeRecorder, failure: Exception, raised: type[Exception], is_outage: bool
) -> None:
    timed, counted = calls(), outages()
    with context.use(PARENT), pytest.raises(raised) as caught:
        ObservedStore(failure).read(SECRET)
    assert (calls(), outages()) == (timed + 1, counted + is_outage)
    span = recorder.only("ObservedStore.read")
    assert (span.error, span.ended) == (type(caught.value).__name__, 1)
    assert SECRET not in repr(span.attributes)


def test_a_call_that_is_tried_once_more_is_one_call(recorder: FakeRecorder) -> None:
    timed, counted = calls(), outages()
    with context.use(PARENT):
        ObservedStore(AutoReconnect()).read("a")
    assert (calls(), outages()) == (timed + 1, counted)
    assert recorder.only("ObservedStore.read").error is None


def test_a_call_inside_a_recorded_trace_is_a_span_below_the_current_one(recorder: FakeRecorder) -> None:
    with context.use(PARENT), tracing.span("work"):
        assert ObservedStore().read("a") == f"a {PARENT.trace_id}"
    [span] = recorder.named("ObservedStore.read")
    assert (span.kind, recorder.children(recorder.only("work"))) == (CLIENT, ["ObservedStore.read"])
    registry = json.loads((ROOT / "contracts" / "telemetry.json").read_text())
    [described] = [span for span in registry["spans"] if span["name"] == "{store}.{verb}"]
    assert {*span.attributes, "error.type"} == set(described["attributes"])
    assert span.attributes == {"db.system.name": "mongodb", "db.operation.name": "ObservedStore.read"}


@pytest.mark.parametrize("current", [None, PARENT._replace(flags=0), PARENT._replace(flags=2)])
def test_a_call_elsewhere_is_timed_only(recorder: FakeRecorder, current: TraceContext | None) -> None:
    before = calls()
    with context.use(current):
        ObservedStore().read("a")
    assert (recorder.spans, calls()) == ([], before + 1)


def test_a_call_in_a_trace_that_others_record_works_without_a_collector() -> None:
    with context.use(PARENT):
        assert ObservedStore().read("a") == f"a {PARENT.trace_id}"
        with pytest.raises(KeyError):
            ObservedStore(KeyError()).read("a")


def test_calls_of_many_threads_are_counted_exactly() -> None:
    before = calls()
    at_once(8, lambda _: [ObservedStore().read("a") for _ in range(250)])
    assert calls() == before + 2000


@retry_and_translate
class NestedStore:
    def outer(self) -> None:
        self.inner()

    def inner(self) -> None:
        raise NetworkTimeout(SECRET)


def test_an_outage_within_a_call_within_a_call_counts_once() -> None:
    counted = outages()
    with pytest.raises(Unavailable):
        NestedStore().outer()
    assert outages() == counted + 1
