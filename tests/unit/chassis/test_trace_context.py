"""The trace context follows W3C Trace Context; whatever else comes in begins a new trace."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.telemetry import context
from chassis.telemetry.context import MAX_MEMBERS, MAX_TRACESTATE, TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PLACE = TraceContext(TRACE, SPAN)
LONGEST = f"a={'x' * 254},b={'y' * (MAX_TRACESTATE - 259)}"
MOST_MEMBERS = ",".join(f"k{number}=1" for number in range(MAX_MEMBERS))


def read(traceparent: object, tracestate: object = None) -> TraceContext | None:
    return context.read({"traceparent": traceparent, "tracestate": tracestate})


def state_of(tracestate: object) -> str:
    found = read(PLACE.traceparent, tracestate)
    assert found is not None
    return found.state


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True)], ids=lambda value: str(value)
)
def test_a_context_is_read_and_passed_on_as_it_came(flags: str, is_sampled: bool) -> None:
    traceparent = f"00-{TRACE}-{SPAN}-{flags}"
    found = read(traceparent, "vendor=1")
    assert found == TraceContext(TRACE, SPAN, int(flags, 16), "vendor=1")
    assert found.is_sampled is is_sampled
    assert found.headers == {"traceparent": traceparent, "tracestate": "vendor=1"}


@pytest.mark.parametrize(("sent", "known"), [("04", 0), ("fe", 2), ("ff", 3)])
def test_flags_that_nobody_has_defined_are_not_passed_on(sent: str, known: int) -> None:
    assert read(f"00-{TRACE}-{SPAN}-{sent}") == PLACE._replace(flags=known)


@pytest.mark.parametrize(
    "traceparent",
    [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", f"fe-{TRACE}-{SPAN}-01-"],
)
def test_a_later_version_is_read_as_far_as_it_is_known_and_passed_on_as_ours(traceparent: str) -> None:
    found = read(traceparent)
    assert found is not None
    assert found.traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "-",
        "rubbish",
        7,
        b"00-" + TRACE.encode() + b"-" + SPAN.encode() + b"-01",
        ["00", TRACE, SPAN, "01"],
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01 ",
        f"01-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"0x-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}a-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        "00-" + "a" * 10_000,
        f"01-{TRACE}-{SPAN}-01" + "a" * 10_000,
    ],
    ids=lambda value: repr(value)[:70],
)
def test_anything_else_is_no_context(traceparent: object) -> None:
    assert read(traceparent) is None


@given(st.text() | st.binary() | st.none() | st.integers() | st.dictionaries(st.text(), st.text()))
def test_whatever_is_sent_as_a_context_is_valid_or_ignored(sent: object) -> None:
    assert read(sent, sent) is None
    found = read(PLACE.traceparent, sent)
    assert found is not None
    assert context.read(found.headers) == found


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ("a=1", "a=1"),
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        ("1tenant@vendor=a b!~", "1tenant@vendor=a b!~"),
        ("a=1 ,\tb=2,, ,c=3,", "a=1,b=2,c=3"),
        ("a=" + "x" * 256, "a=" + "x" * 256),
        ("a" * 256 + "=1", "a" * 256 + "=1"),
        (LONGEST, LONGEST),
        (MOST_MEMBERS, MOST_MEMBERS),
    ],
    ids=lambda value: value[:30],
)
def test_a_tracestate_is_passed_on(sent: str, passed_on: str) -> None:
    assert state_of(sent) == passed_on


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        "rubbish",
        "ana@example.com",
        "a=",
        "=1",
        "A=1",
        "a=1,b",
        "a=1,a=2",
        "a=b=c",
        "a=ä",
        "a=1\nb=2",
        "a=" + "x" * 257,
        "a" * 257 + "=1",
        "t" * 242 + "@vendor=1",
        f"{LONGEST}x",
        f"{MOST_MEMBERS},k=1",
        "x" * 10_000,
        b"a=1",
        7,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_tracestate_is_dropped_and_the_trace_goes_on(sent: object) -> None:
    assert read(PLACE.traceparent, sent) == PLACE


def test_a_tracestate_without_a_traceparent_means_nothing() -> None:
    assert read(None, "a=1") is None


def test_a_new_trace_is_not_recorded_and_has_ids_of_its_own() -> None:
    traces = [context.new() for _ in range(100)]
    assert all(context.read(trace.headers) == trace and not trace.is_sampled for trace in traces)
    assert len({trace.trace_id for trace in traces} | {trace.span_id for trace in traces}) == 200


def test_a_context_is_the_current_one_inside_its_block_only() -> None:
    inner = TraceContext("a" * 32, "b" * 16)
    with context.use(PLACE):
        with context.use(inner):
            assert (context.trace_id(), context.carried()) == (inner.trace_id, inner.headers)
        assert (context.trace_id(), context.carried()) == (TRACE, PLACE.headers)
        with context.use(None):
            assert (context.trace_id(), context.carried()) == ("", {})
        assert context.trace_id() == TRACE
    assert (context.trace_id(), context.carried(), context.recorded()) == ("", {}, None)


def test_a_context_ends_with_its_block_also_when_that_fails() -> None:
    def fail() -> None:
        with context.use(PLACE):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert context.trace_id() == ""


@pytest.mark.parametrize(("flags", "stored"), [(0, False), (1, True), (2, False), (3, True)])
def test_only_a_recorded_trace_is_stored_for_work_that_follows_later(flags: int, stored: bool) -> None:
    place = PLACE._replace(flags=flags)
    with context.use(place):
        assert context.recorded() == (place.traceparent if stored else None)


def test_another_thread_has_no_part_in_the_current_trace_unless_it_is_handed_over() -> None:
    seen = []

    def look() -> None:
        seen.append(context.trace_id())
        with context.use(PLACE):
            seen.append(context.trace_id())

    with context.use(TraceContext("a" * 32, "b" * 16)):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert context.trace_id() == "a" * 32
    assert seen == ["", TRACE]
