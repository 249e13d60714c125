"""A client that repeats a request until it gets a final answer, as a patient customer does."""

import random
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import requests

from tools.chaos.client_log import ClientLog
from tools.client import ShopClient

ANSWER_DEADLINE = 120.0  # seconds; longer than any fault and the recovery from it


class PatientClient:
    """Sends requests to order-service for one thread, and logs all answers."""

    def __init__(self, shop: ShopClient, log: ClientLog, rng: random.Random) -> None:
        self._shop = shop
        self._log = log
        self._random = rng

    def send(
        self, what: str, method: str, path: str, *, final: Collection[int] = (200, 201, 409), **arguments: Any
    ) -> requests.Response | None:
        """Repeat a request until its answer is final; return the answer, or None at the deadline."""
        send = partial(self._shop.call, "order-service", method, path, **arguments)
        deadline = time.monotonic() + ANSWER_DEADLINE
        while time.monotonic() < deadline:
            answer = self._try(what, send)
            if answer is None or answer.status_code in (429, 503):
                time.sleep(self._random.uniform(0.1, 0.5))
            elif answer.status_code == 401:
                self._try("sign-in", self._shop.sign_in_again)
            else:
                if answer.status_code not in final:
                    self._log.fail(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                return answer
        self._log.fail(f"{method} {path}: no answer within {ANSWER_DEADLINE:g} s")
        return None

    def _try(self, what: str, send: Callable[[], requests.Response | None]) -> requests.Response | None:
        started = time.monotonic()
        try:
            answer = send()
        except requests.RequestException:
            self._log.answered(f"{what} cut off", time.monotonic() - started)
            time.sleep(0.1)
            return None
        status = 200 if answer is None else answer.status_code
        self._log.answered(f"{what} {status}", time.monotonic() - started)
        return answer
