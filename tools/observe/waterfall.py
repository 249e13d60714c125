"""A trace as a waterfall for a terminal: a line per span, indented below its parent, with a bar for its time."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from tools.observe.spans import Link, Span
from tools.terminal import escape

BAR = 24  # characters
MS = 1_000_000  # nanoseconds
HEAD = f"{'start':>12}{'duration':>12}  {'':<{BAR}}  {'program':<21}  span"


def lines(spans: Iterable[Span]) -> Iterator[str]:
    """Yield the lines of one trace. What could move the cursor or hide text is escaped."""
    tree = list(in_order(spans))
    known = {span.span_id: span for _, span in tree}
    first, last = min(span.start for span in known.values()), max(span.end for span in known.values())
    yield escape(_title(tree[0][1], len(tree), first, last))
    yield HEAD
    for depth, span in tree:
        times = f"{_ms(span.start - first):>12}{_ms(span.end - span.start):>12}"
        what = f"{'  ' * depth}{span.name}{''.join(f'  {note}' for note in notes(span, known))}"
        yield escape(f"{times}  {_bar(span, first, last)}  {span.program:<21}  {what}")


def in_order(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Yield depth and span: each below its parent, brothers by their start. An exporter may have sent a span twice."""
    left = {span.span_id: span for span in sorted(spans, key=lambda span: span.start, reverse=True)}
    children: dict[str, list[Span]] = {}
    for span in left.values():
        children.setdefault(span.parent_id, []).append(span)
    waiting = [(0, span) for span in left.values() if span.parent_id not in left]
    while left:
        depth, span = waiting.pop() if waiting else (0, next(iter(left.values())))
        if left.pop(span.span_id, None):  # no circle is followed twice
            yield depth, span
            waiting += [(depth + 1, child) for child in children.get(span.span_id, [])]


def notes(span: Span, known: Mapping[str, Span]) -> Iterator[str]:
    """Yield what is remarkable: the status, an error, further attempts, waiting, links."""
    attribute = span.attributes
    if status := attribute.get("http.response.status_code"):
        yield str(status)
    if span.failed or "error.type" in attribute:
        yield f"ERROR {attribute.get('error.type', '')}".rstrip()
    if again := attribute.get("http.request.resend_count"):
        yield f"retry {again}"
    for name in ("messaging.rabbitmq.attempt", "shop.payment.attempt"):
        if number := attribute.get(name):
            yield f"attempt {number}"
    if disposition := attribute.get("shop.disposition"):
        yield f"-> {disposition}"
    if seconds := attribute.get("shop.outbox.seconds"):
        yield f"after {float(seconds):.1f} s in the outbox"
    yield from (_link(link, span, known) for link in span.links)


def _link(link: Link, span: Span, known: Mapping[str, Span]) -> str:
    if link.trace_id != span.trace_id:
        return f"(link: trace {link.trace_id})"
    return f"(link: {known[link.span_id].name})" if link.span_id in known else "(link: a span that is not here)"


def _title(root: Span, count: int, first: int, last: int) -> str:
    at = datetime.fromtimestamp(first / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    orphan = "; its first span is missing" if root.parent_id else ""
    return f"{root.name}  trace {root.trace_id}  {at}  {count} spans, {_ms(last - first)}{orphan}"


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / MS:.1f} ms"


def _bar(span: Span, first: int, last: int) -> str:
    """Return the part of the trace's time that the span takes, at least one character of it."""
    total = max(last - first, 1)
    left = min(BAR - 1, (span.start - first) * BAR // total)
    length = max(1, min(BAR - left, round((span.end - span.start) * BAR / total)))
    return f"{' ' * left}{'=' * length}".ljust(BAR)
