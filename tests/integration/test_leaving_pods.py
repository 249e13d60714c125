"""A pod that goes, as Kubernetes ends it: others learn of it only after some seconds, and nobody is refused."""

import http.client
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.at_once import meanwhile
from tests.integration.test_web_workers import gunicorn
from tests.unit.deploy.kubernetes import PRODUCTION, named
from tests.waiting import until
from tools.stack.ports import free_ports

POD = named(PRODUCTION, "Deployment", "order-service")["spec"]["template"]["spec"]
PAUSE = POD["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
GRACE = POD["terminationGracePeriodSeconds"]
APP = """
import time

def create_app():
    def app(environ, start_response):
        time.sleep(float(environ["PATH_INFO"][1:]))
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    return app
"""


def answer(port: int, seconds: float) -> str:
    """Return the status of a request on a connection of its own, or the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GRACE)
    try:
        connection.request("GET", f"/{seconds}")
        return str(connection.getresponse().status)
    except OSError as exc:
        return repr(exc)
    finally:
        connection.close()


def test_a_pod_that_goes_answers_everybody_who_has_not_heard_of_it(tmp_path: Path) -> None:
    (tmp_path / "slow_app.py").write_text(APP)
    answers: Counter[str] = Counter()
    everybody_knows = threading.Event()

    def arrive() -> None:
        while not everybody_knows.is_set():
            answers.update([answer(port, 0.02)])

    (port,) = free_ports(1)
    with gunicorn(tmp_path, "slow_app:create_app()", port, {"WEB_CONCURRENCY": "1"}) as pod:
        try:
            until(lambda: answer(port, 0) == "200", "it serves")
            with meanwhile(arrive, threads=4, stop=everybody_knows):
                time.sleep(PAUSE - 1)  # the hook: the program does not know that its pod goes
                with meanwhile(lambda: answers.update([answer(port, 3)])):
                    time.sleep(1)
                    everybody_knows.set()
                    os.kill(pod.pid, signal.SIGTERM)
            assert pod.wait(GRACE - PAUSE) == 0
        finally:
            pod.kill()
    assert answers.keys() == {"200"}
    assert answers.total() > 100
