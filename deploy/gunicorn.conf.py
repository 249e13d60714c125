"""How gunicorn serves each service: `gunicorn --config deploy/gunicorn.conf.py 'order_service:create_app()'`."""

import gc
import importlib
import json
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.gthread import ThreadWorker

from deploy.worker_slots import slots

slots()  # before the modules below create metrics

from chassis.config import PositiveInt, TelemetrySettings
from chassis.errors import Problem
from chassis.telemetry import programs, tracing
from chassis.web.headers import SECURITY_HEADERS
from chassis.web.problems import document

DEPENDENCY_START_TIMEOUT = 10.0  # s; services that start at the same time are ready by then


class ServerSettings(TelemetrySettings):
    """The number of processes, and of threads in each."""

    web_concurrency: PositiveInt = 2
    web_threads: PositiveInt = 8


class Worker(ThreadWorker):  # type: ignore[misc]
    """A gthread worker with a graceful shutdown: it answers the connections that the kernel has accepted.

    Gunicorn's own worker leaves connections in the backlog while it finishes, and resets them at the end.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections. Before the final stop, accept those that wait in the backlog."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            connections = -1
            while connections != self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)
            listener.close()


def write_problem(sock: socket.socket, status: int, _reason: str, _detail: str) -> None:
    """Answer bytes that are not valid HTTP with a problem document (RFC 9457)."""
    if status == HTTPStatus.NOT_IMPLEMENTED:  # an unknown transfer coding: the client's mistake, no failure of ours
        status = 400
    problem = Problem.of_status(status, "This is not a valid HTTP request.")
    request_id = uuid.uuid4().hex
    body = json.dumps(document(problem, problem.detail, "/", request_id))
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": len(body),
        "X-Request-ID": request_id,
        **dict(SECURITY_HEADERS),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    util.write_nonblock(sock, f"HTTP/1.1 {status} {problem.title}\r\n{head}\r\n{body}".encode("latin-1"))


util.write_error = write_problem  # gunicorn itself would answer with HTML

worker_class = Worker
settings = ServerSettings.load()
workers, threads = settings.web_concurrency, settings.web_threads

timeout = 15  # s; a worker that does not report for so long hangs, and gunicorn replaces it
graceful_timeout = 20  # s to finish the requests in progress
keepalive = 75  # s; order-service keeps its connections open. The gateway opens a new one for each request

control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (stays off the disk)  # nosec B108
accesslog = None  # the services write their own access log
errorlog = "-"
loglevel = "error"  # warnings quote invalid requests, which may contain personal data


def on_starting(server: Any) -> None:
    """Import the service's web app before the fork, so that the workers share its memory.

    `create_app()` runs in each worker, because a MongoClient does not survive a fork.
    """
    stop = server.stop

    def stop_without_traceback(*args: Any, **kwargs: Any) -> None:
        with suppress(HaltServer):  # a second worker that fails to start raises it, and would hide the reason
            stop(*args, **kwargs)

    server.stop = stop_without_traceback
    package = importlib.import_module(server.app.app_uri.partition(":")[0])
    if hasattr(package, "__path__"):  # a single module has no submodule `app`
        importlib.import_module(f"{package.__name__}.app")
    programs.preload(settings)
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Check the dependencies at once, so that each process caches keys and a token before user-service goes away.

    The first worker checks again after some seconds, and logs the dependencies that cannot be used.
    """
    if health := getattr(worker.wsgi, "extensions", {}).get("health"):
        _start_timer(0.0, health.failed_dependencies)
        if worker.age == 1:
            _start_timer(DEPENDENCY_START_TIMEOUT, health.log_failed_dependencies)


def _start_timer(seconds: float, function: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker a slot for its metrics."""
    slots().reserve(server, worker)


def worker_exit(_server: Any, _worker: Any) -> None:
    """Send the spans that wait. This runs in the worker."""
    tracing.stop()


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what a worker that has ended was doing. This runs in the master."""
    slots().release(worker)


def on_exit(_server: Any) -> None:
    """Remove the files of the metrics."""
    slots().remove_files()


def post_fork(_server: Any, worker: Any) -> None:
    """Stop gunicorn if the service refuses to start, for example without a setting. Gunicorn would retry endlessly."""
    slots().take(worker)
    load = worker.load_wsgi

    def load_or_exit() -> None:
        try:
            load()
        except SystemExit as refusal:
            sys.stderr.write(f"{refusal}\n")
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    worker.load_wsgi = load_or_exit
