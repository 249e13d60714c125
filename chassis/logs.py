"""JSON logs: one line per record on standard output, with the ids of its request or event and of its trace.

No log has data that identifies a person or grants access: no e-mail address, token, password or body, and therefore
no text of an unexpected exception.
"""

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from chassis.telemetry.context import trace_id

request_id: ContextVar[str] = ContextVar("request_id", default="")

_ENCODER = json.JSONEncoder(default=str)
quoted = json.encoder.encode_basestring_ascii
"""Return a text as JSON."""

_service = '""'  # as JSON text; set by `configure`
_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}  # not from `extra`
_ACCESS = logging.getLogger("access")


def access(method: str, path: str, status: int, seconds: float) -> None:
    """Log a request and its duration."""
    milliseconds = f"{seconds * 1000:.1f}"
    fields = f'"method": {quoted(method)}, "path": {quoted(path)}, "status": {status}, "milliseconds": {milliseconds}'
    write(_ACCESS, "request", (request_id.get(), trace_id(), fields))


def write(logger: logging.Logger, message: str, *entries: tuple[str, str, str]) -> None:
    """Log lines at level info; an entry is the request's id, the trace's id and further fields as JSON text.

    It is for what every order writes: without log records a line takes a third of the time.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    start = (
        f'{{"time": "{_timestamp(time.time())}", "level": "info", "service": {_service}, '
        f'"logger": "{logger.name}", "message": "{message}", "request_id": '
    )
    lines = [f'{start}{quoted(request)}, "trace_id": "{trace}", {fields}}}\n' for request, trace, fields in entries]
    with suppress(OSError, ValueError):  # a full disk or a closed pipe must not fail the work
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


def _timestamp(seconds: float) -> str:
    whole = int(seconds)
    return f"{_to_the_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=1)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, service, logger, message, the ids, and the fields of `extra`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        line: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if trace_id():
            line["trace_id"] = trace_id()
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)

    def formatException(self, ei: Any) -> str:
        """Return the types and tracebacks of an exception and its causes. Their texts may contain user data."""
        parts, seen, exc = [], set(), ei[1]
        while exc is not None and id(exc) not in seen:  # causes may form a circle
            seen.add(id(exc))
            parts.append("".join([*traceback.format_tb(exc.__traceback__), type(exc).__qualname__]))
            exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
        return "\ncaused by\n".join(parts)


def configure(service: str, level: str = "INFO") -> None:
    """Send the whole process's log to standard output as JSON."""
    global _service
    _service = quoted(service)
    # Do not collect fields that no line has (Logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    sys.excepthook = lambda *exc: root.critical("unexpected error", exc_info=exc)
    threading.excepthook = lambda end: root.error("unexpected error in a thread", exc_info=end.exc_value)
    for library, threshold in (("pika", logging.CRITICAL), ("urllib3", logging.WARNING), ("pymongo", logging.WARNING)):
        logging.getLogger(library).setLevel(threshold)


@contextmanager
def bind_request_id(identifier: str) -> Iterator[None]:
    """Add the id of a request or event to every record of this block."""
    token = request_id.set(identifier)
    try:
        yield
    finally:
        request_id.reset(token)
