"""One line of JSON per log record, on standard output, with the id of the request or event it belongs to.

Nothing that identifies a person or grants access may be logged: no e-mail address, token, password or body, and so no
text of an unexpected exception.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")

_ENCODER = json.JSONEncoder(default=str)
_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format a record as JSON: time, level, service, logger, request_id, message and whatever `extra` brings."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)

    def formatException(self, ei: Any) -> str:
        """Return the types of an exception and its causes and where they came from; not their texts, which may tell
        whatever a program works with.
        """
        told, seen, exc = [], set(), ei[1]
        while exc is not None and id(exc) not in seen:  # causes may form a circle
            seen.add(id(exc))
            told.append("".join([*traceback.format_tb(exc.__traceback__), type(exc).__qualname__]))
            exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
        return "\ncaused by\n".join(told)


def configure(service: str, level: str = "INFO") -> None:
    """Send the whole process's log to standard output as JSON."""
    # What no line shows need not be found out (Logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    sys.excepthook = lambda *exc: root.critical("unexpected error", exc_info=exc)
    threading.excepthook = lambda end: root.error("unexpected error in a thread", exc_info=end.exc_value)
    for noisy in ("pika", "urllib3", "pymongo"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "pika" else logging.WARNING)


@contextmanager
def bound_to(identifier: str) -> Iterator[None]:
    """Mark every record of this block with a request's or event's id."""
    token = request_id.set(identifier)
    try:
        yield
    finally:
        request_id.reset(token)
