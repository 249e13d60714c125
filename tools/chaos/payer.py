"""Paying orders with all kinds of cards, beside a customer who goes on shopping."""

import queue
import random
import threading
from contextlib import suppress

from tools.chaos.client_log import DECLINED_METHOD, ClientLog
from tools.chaos.patient_client import PatientClient

METHODS = (*["pm_card_ok"] * 14, *[DECLINED_METHOD] * 3, *["pm_card_lost"] * 2, "pm_card_slow")
TRIED_AGAIN = 0.6  # the share of declined payments
WAITING = 4  # orders that wait to be paid; what does not find a place there is not paid, and expires
SECONDS_TO_STOP = 0.2


class Wallet:
    """The cards of a customer, for one thread."""

    def __init__(self, shop: PatientClient, log: ClientLog, rng: random.Random) -> None:
        self._shop = shop
        self._log = log
        self._random = rng

    def pay(self, order_id: str) -> None:
        """Pay an order. After a decline try again, perhaps with another card, or give up."""
        while self._try(order_id, self._random.choice(METHODS)) == 402 and self._random.random() < TRIED_AGAIN:
            pass

    def _try(self, order_id: str, method: str) -> int | None:
        """Return the status of the answer, None if there was none."""
        self._log.tries_to_pay(order_id, method)
        body = {"payment_method": method}
        answer = self._shop.send("pay", "POST", f"/orders/{order_id}/pay", json=body, final=(200, 402, 409))
        if answer is None:
            return None
        if answer.status_code == 200:
            self._log.paid.add(order_id)
        return answer.status_code


class Payer(threading.Thread):
    """Pays the orders that it is offered, one after the other, until `stop` is set."""

    def __init__(self, name: str, wallet: Wallet, stop: threading.Event) -> None:
        super().__init__(name=name)
        self._wallet = wallet
        self._stop_event = stop
        self._orders: queue.Queue[str] = queue.Queue(WAITING)

    def offer(self, order_id: str) -> None:
        """Let the payer pay an order, unless too many wait."""
        with suppress(queue.Full):
            self._orders.put_nowait(order_id)

    def run(self) -> None:
        """Pay until `stop` is set, then finish the current payment."""
        while not self._stop_event.is_set():
            with suppress(queue.Empty):
                self._wallet.pay(self._orders.get(timeout=SECONDS_TO_STOP))
