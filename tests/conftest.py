"""What every test gets: logging and the request's id as if no other test had run before."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from chassis import logs


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    level, request_id = root.level, logs.request_id.set("")
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logs.request_id.reset(request_id)
    root.setLevel(level)
