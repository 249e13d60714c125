"""A stand-in for Stripe's API: PaymentIntents, refunds and idempotency keys, as far as this shop uses them.

The replies have the shape of Stripe's. A payment method's name says what the bank does with it: see `BANK`.
"""

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.local_server import Asked

Reply = tuple[int, dict[str, Any]]

CARD = "4000000000009995"
"""A card number that Stripe's messages carry here, so that a test notices where one is passed on."""


def error(status: int, kind: str, code: str | None, param: str | None = None, message: str = "") -> Reply:
    """Return an error as Stripe sends it."""
    body = {"type": kind, "code": code, "param": param, "message": message or f"About card {CARD}.", "doc_url": "-"}
    return status, {"error": {name: value for name, value in body.items() if value}}


def card_error(code: str, message: str, decline_code: str) -> Reply:
    status, body = error(402, "card_error", code, None, message)
    body["error"] |= {"decline_code": decline_code, "payment_intent": {"last_payment_error": {"number": CARD}}}
    return status, body


UNEXPECTED_STATE = error(400, "invalid_request_error", "payment_intent_unexpected_state")
ALREADY_REFUNDED = error(400, "invalid_request_error", "charge_already_refunded")
OTHER_PARAMETERS = error(400, "idempotency_error", None)
BANK: dict[str, str | Reply] = {  # the status of the PaymentIntent after its confirmation, or the error
    "pm_ok": "succeeded",
    "pm_processing": "processing",
    "pm_action": "requires_action",
    "pm_poor": card_error("card_declined", "Your card has insufficient funds.", "insufficient_funds"),
    "pm_stolen": card_error("card_declined", "Your card was declined.", "stolen_card"),
    "pm_3ds": card_error("authentication_required", "Your card was declined. It needs authentication.", "-"),
    "pm_silent": (402, {"error": {"type": "api_error"}}),
    "pm_unknown": error(400, "invalid_request_error", "resource_missing", "payment_method"),
    "pm_used": error(400, "invalid_request_error", None),
}


class FakeStripe:
    """Answers requests and remembers them in `calls`: what was asked, and the idempotency key if it is not random.

    `faults` has replies to give instead, by the name of the call; None as a reply loses the answer of what is done.
    `before` has what happens just before a call. The list of PaymentIntents has two on a page.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        self.refund_status = "succeeded"
        self.recorded: dict[str, tuple[bytes, Reply]] = {}
        self.faults: dict[str, Reply | None] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self._lock = threading.Lock()

    @property
    def captured(self) -> list[str]:
        return [id for id, intent in self.intents.items() if intent["status"] == "succeeded"]

    def __call__(self, asked: Asked) -> Reply | None:
        with self._lock:
            call, intent_id = self._name(asked)
            key = asked.headers.get("Idempotency-Key", "")
            is_random = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key)
            self.calls.append(call if is_random or not key else f"{call} {key}")
            self.before.pop(call, lambda: None)()
            fault = self.faults.pop(call, ())
            if fault:
                return fault
            reply = self._once(call, intent_id, key, asked)
            return None if fault is None else reply

    def _name(self, asked: Asked) -> tuple[str, str]:
        parts = urlsplit(asked.path).path.split("/")[2:]  # after /v1
        intent_id = parts[1] if len(parts) > 1 else ""
        if len(parts) == 3:
            return parts[2], intent_id  # confirm, cancel
        if parts[0] == "refunds":
            return ("refund" if asked.method == "POST" else "refunds"), ""
        return ("create" if asked.method == "POST" else "retrieve" if intent_id else "list"), intent_id

    def _once(self, call: str, intent_id: str, key: str, asked: Asked) -> Reply:
        """Answer a repeated idempotency key from the record. What fails validation is not recorded."""
        if key in self.recorded:
            body, reply = self.recorded[key]
            return reply if body == asked.body else OTHER_PARAMETERS
        form = dict(parse_qsl(asked.body.decode() or urlsplit(asked.path).query))
        reply = getattr(self, f"_{call}")(intent_id, form)
        if key and reply[0] in (200, 402):
            self.recorded[key] = asked.body, (reply[0], dict(reply[1]))
        return reply

    def _create(self, _: str, form: dict[str, str]) -> Reply:
        if not 50 <= int(form["amount"]) <= 99_999_999:
            return error(400, "invalid_request_error", "amount_too_small", "amount")
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        return 200, self.add(int(form["amount"]), "requires_payment_method", metadata)

    def add(self, amount: int, status: str, metadata: dict[str, str]) -> dict[str, Any]:
        """Add a PaymentIntent, as anybody with the account might."""
        id = f"pi_{len(self.intents) + 1}"
        self.intents[id] = {
            "id": id,
            "object": "payment_intent",
            "amount": amount,
            "amount_received": amount if status == "succeeded" else 0,
            "currency": "eur",
            "created": 1767225600 + len(self.intents),
            "latest_charge": None,
            "metadata": metadata,
            "status": status,
        }
        return self.intents[id]

    def _retrieve(self, intent_id: str, _: dict[str, str]) -> Reply:
        missing = error(404, "invalid_request_error", "resource_missing", "intent")
        return (200, self.intents[intent_id]) if intent_id in self.intents else missing

    def _confirm(self, intent_id: str, form: dict[str, str]) -> Reply:
        intent = self.intents[intent_id]
        if not intent["status"].startswith("requires_"):
            return UNEXPECTED_STATE
        outcome = BANK[form["payment_method"]]
        if not isinstance(outcome, str):
            return outcome
        intent["status"] = outcome
        intent["amount_received"] = intent["amount"] if outcome == "succeeded" else 0
        return 200, intent

    def _cancel(self, intent_id: str, _: dict[str, str]) -> Reply:
        intent = self.intents[intent_id]
        if not intent["status"].startswith("requires_"):
            return UNEXPECTED_STATE
        intent["status"] = "canceled"
        return 200, intent

    def _refund(self, _: str, form: dict[str, str]) -> Reply:
        intent = self.intents[form["payment_intent"]]
        earlier = [refund for refund in self.refunds if refund["payment_intent"] == intent["id"]]
        left = intent["amount"] - sum(refund["amount"] for refund in earlier if refund["status"] != "failed")
        return (200, self.give_back(intent["id"], left)) if left > 0 else ALREADY_REFUNDED

    def give_back(self, intent_id: str, amount: int) -> dict[str, Any]:
        """Add a refund, as a person does in Stripe's dashboard."""
        refund = {"id": f"re_{len(self.refunds) + 1}", "object": "refund", "amount": amount, "metadata": {}}
        refund |= {"payment_intent": intent_id, "status": self.refund_status}
        self.refunds.append(refund)
        return refund

    def _refunds(self, _: str, form: dict[str, str]) -> Reply:
        found = [refund for refund in self.refunds if refund["payment_intent"] == form["payment_intent"]]
        return 200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found}

    def _list(self, _: str, form: dict[str, str]) -> Reply:
        newest = list(reversed(self.intents.values()))
        ids = [intent["id"] for intent in newest]
        start = ids.index(form["starting_after"]) + 1 if "starting_after" in form else 0
        page = [self._expanded(intent) for intent in newest[start : start + 2]]
        more = start + 2 < len(newest)
        return 200, {"object": "list", "url": "/v1/payment_intents", "has_more": more, "data": page}

    def _expanded(self, intent: dict[str, Any]) -> dict[str, Any]:
        refunds = [refund for refund in self.refunds if refund["payment_intent"] == intent["id"]]
        listed = {"object": "list", "url": "-", "has_more": False, "data": refunds}
        charge = {"id": f"ch_{intent['id']}", "object": "charge", "amount": intent["amount"], "refunds": listed}
        return intent | {"latest_charge": charge if intent["amount_received"] else None}
