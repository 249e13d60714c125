"""The trace context: which trace the current work belongs to, and whether that trace is recorded.

Context propagation: it travels with the work, in headers, events and messages. Its form is W3C Trace Context
(https://www.w3.org/TR/trace-context-2/), the headers `traceparent` and `tracestate`. Every request has one, also where
no traces are sent, so that all its log lines and events have the same `trace_id`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

SAMPLED = 0x01  # the flag of a trace that is recorded
KNOWN_FLAGS = 0x03  # the second says that the trace id is random; the others are reserved, and sent as 0
MAX_TRACESTATE, MAX_MEMBERS = 512, 32  # characters; pairs of a key and a value

# Version 00 ends after the flags; a later version may go on (section 4.2 of the recommendation).
_TRACEPARENT = re.compile(
    r"(?:00(?=.{53}\Z)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_STATE_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceContext(NamedTuple):
    """A place in a trace: the ids of the trace and of a span in it, in lowercase hex digits (32 and 16)."""

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        """Return whether the trace is recorded."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """Return the value of the header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that carry the context to the next program."""
        return {"traceparent": self.traceparent, **({"tracestate": self.state} if self.state else {})}


current: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)


def new() -> TraceContext:
    """Return the context of a new trace that is not recorded."""
    digits = os.urandom(24).hex()
    return TraceContext(digits[:32], digits[32:])


def read(carrier: Mapping[str, object]) -> TraceContext | None:
    """Return the context in headers or in an event. None for a malformed one: the work goes on, in a new trace."""
    traceparent, state = carrier.get("traceparent"), carrier.get("tracestate")
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if match is None:
        return None
    flags = int(match[3], 16) & KNOWN_FLAGS
    return TraceContext(match[1], match[2], flags, _valid_state(state) if isinstance(state, str) else "")


def _valid_state(state: str) -> str:
    """Return a `tracestate` without empty members, "" for a malformed one: a client can send any text."""
    if len(state) > MAX_TRACESTATE:
        return ""
    members = [member for text in state.split(",") if (member := text.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    has_valid_members = len(keys) == len(members) <= MAX_MEMBERS and all(map(_STATE_MEMBER.fullmatch, members))
    return ",".join(members) if has_valid_members else ""


def carried() -> dict[str, str]:
    """Return the headers that carry the current context on, for a request or an event; none outside of a trace."""
    context = current.get()
    return context.headers if context else {}


def recorded() -> str | None:
    """Return the current `traceparent` if the trace is recorded, to be stored for work that follows much later."""
    context = current.get()
    return context.traceparent if context and context.is_sampled else None


def trace_id() -> str:
    """Return the id of the current trace, "" outside of one."""
    context = current.get()
    return context.trace_id if context else ""


@contextmanager
def use(context: TraceContext | None) -> Iterator[None]:
    """Make a context the current one for the block."""
    token = current.set(context)
    try:
        yield
    finally:
        current.reset(token)
