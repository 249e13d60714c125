"""./dev trace: print the traces of an order as waterfalls."""

import argparse
import sys
from collections.abc import Callable, Iterable

import requests

from tools.observe import waterfall
from tools.observe.spans import Span
from tools.paths import STATE
from tools.stack.observers import ENDPOINT
from tools.stack.stack import Stack
from tools.terminal import escape

TIMEOUT = 10.0
WITHOUT_OBSERVERS = "The shop runs without --observe, and records no traces. ./dev down, then ./dev up --observe"
ELSEWHERE = "The shop sends its traces to {}, as OTEL_EXPORTER_OTLP_ENDPOINT says. Look for {} there."
NOT_FOUND = """\
There is no trace of {}. Perhaps it was not recorded (OTEL_TRACES_SAMPLER_ARG is the recorded share, and 1 by default
here), or it is not the id of an order or a trace, or the receiver of traces has forgotten it: it keeps the latest spans
in memory. A trace arrives some seconds after its request."""
READS = ("GET", "HEAD")


class ReceiverSilent(Exception):
    """The receiver of traces does not answer."""


def define(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Print the trace of one order, from the request to the notification. Needs ./dev up --observe."""
    parser.add_argument("id", help="the order's id, as the API shows it, or a trace's id, as the logs show it")
    parser.add_argument("--reads", action="store_true", help="also the requests that only read the order")
    return lambda options: main(Stack(STATE), options.id, with_reads=options.reads)


def main(stack: Stack, identifier: str, *, with_reads: bool = False) -> int:
    """Print the traces and return the exit code."""
    if not stack.is_running():
        return _fail("The shop is not running. Start it with ./dev up --observe", 2)
    receiver = stack.pages().get("traces")
    if receiver is None:
        endpoint = stack.environment("order-service").get(ENDPOINT)
        return _fail(ELSEWHERE.format(endpoint, escape(identifier)) if endpoint else WITHOUT_OBSERVERS, 2)
    try:
        text = report(receiver, identifier, with_reads=with_reads)
    except ReceiverSilent as exc:
        return _fail(str(exc), 2)
    if not text:
        return _fail(NOT_FOUND.format(escape(identifier)), 1)
    print(text)
    return 0


def report(receiver: str, identifier: str, *, with_reads: bool) -> str:
    """Return the waterfalls of an order's traces, or of one trace, and what is linked to them; "" if there is none."""
    traces = by_id(fetch(receiver, order_id=identifier)) or by_id(fetch(receiver, trace_id=identifier))
    shown = traces if with_reads else {key: spans for key, spans in traces.items() if not _only_reads(spans)} or traces
    parts = ["\n".join(waterfall.lines(spans)) for spans in shown.values()]
    linked = {key: spans for shown_id in shown for key, spans in by_id(fetch(receiver, linked_to=shown_id)).items()}
    others = [f"  {_summary(spans)}" for key, spans in linked.items() if key not in traces]
    if others:
        parts.append("\n".join(["Other traces that are linked to these:", *others]))
    if hidden := len(traces) - len(shown):
        parts.append(f"Not shown: {hidden} traces of requests that only read the order. Option --reads shows them.")
    return "\n\n".join(parts)


def fetch(receiver: str, **query: str) -> list[Span]:
    """Return the spans that the receiver has for a query. Raises ReceiverSilent."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy
            answer = session.get(f"{receiver}/spans", params=query, timeout=TIMEOUT)
            answer.raise_for_status()
            return [Span.of(record) for record in answer.json()]
    except requests.RequestException as exc:
        raise ReceiverSilent(f"The receiver of traces at {receiver} does not answer: {exc}") from exc


def by_id(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Return the spans of each trace by its id, the oldest trace first."""
    traces: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start):
        traces.setdefault(span.trace_id, []).append(span)
    return traces


def _only_reads(spans: Iterable[Span]) -> bool:
    requests_ = [span for span in spans if span.kind == "SERVER"]
    return bool(requests_) and all(span.name.startswith(READS) for span in requests_)


def _summary(spans: list[Span]) -> str:
    return escape(f"{spans[0].trace_id}  {spans[0].program}  {spans[0].name}, {len(spans)} spans")


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
