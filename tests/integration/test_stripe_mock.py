"""Every request to Stripe is valid by Stripe's own OpenAPI description: stripe-mock refuses any other.

stripe-mock has no state: it answers from examples. `tests/unit/order/test_stripe.py` tests the behaviour.
It is a Go program. The tests use the one on the PATH, or build it once into `.venv`, or are skipped.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from order_service.payment.provider import Charge, ProviderUnavailable
from order_service.payment.stripe_provider import StripeProvider
from tests.local_server import Asked, LocalServer, serving
from tests.waiting import until
from tools.paths import ROOT

VERSION = "v0.203.0"
BUILT = ROOT / ".venv" / f"stripe-mock-{VERSION}"
SECONDS_TO_BUILD = 120
CHARGE = Charge("0123456789abcdef0123456789abcdef", 1, 1999, "EUR", "pm_1")
PAID = Charge(CHARGE.order_id, 1, 100, "USD", "pm_1", reference="pi_1")  # what stripe-mock's example refund gives back
LARGER = Charge(CHARGE.order_id, 1, 1999, "USD", "pm_1", reference="pi_1")


@pytest.fixture(scope="module")
def program() -> str:
    """The program stripe-mock; built only once, and without a trace in the user's Go workspace."""
    if found := shutil.which("stripe-mock") or shutil.which(BUILT):
        return found
    if not shutil.which("go"):
        pytest.skip("needs stripe-mock, or Go to build it")
    with tempfile.TemporaryDirectory() as folder:
        names = {"GOBIN": "bin", "GOMODCACHE": "mod", "GOCACHE": "cache", "GOPATH": "path"}
        places = {name: f"{folder}/{place}" for name, place in names.items()}
        flags = {"GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}  # writable, so that it can be removed
        command = ["go", "install", f"github.com/stripe/stripe-mock@{VERSION}"]
        try:
            subprocess.run(
                command, env=os.environ | places | flags, check=True, capture_output=True, timeout=SECONDS_TO_BUILD
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
            pytest.skip(f"Go did not build stripe-mock: {(exc.stderr or b'it took too long').decode()[-200:]}")
        shutil.move(f"{folder}/bin/stripe-mock", BUILT)
    return str(BUILT)


@pytest.fixture(scope="module")
def mock_url(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    output = tmp_path_factory.mktemp("stripe-mock") / "output"
    with output.open("wb") as file:
        process = subprocess.Popen([program, "-http-addr", "127.0.0.1:0"], stdout=file, stderr=file)
    try:
        yield f"http://127.0.0.1:{until(lambda: _port(output), 'stripe-mock listens')}"
    finally:
        process.kill()
        process.wait()


def _port(output: Path) -> str | None:
    found = re.search(r"Listening for HTTP at address: .*:(\d+)", output.read_text())
    return found[1] if found else None


class Recorder:
    """Passes requests on to stripe-mock and remembers what it answered. `status` is put into each PaymentIntent."""

    def __init__(self, url: str) -> None:
        self.url, self.status = url, ""
        self.answers: list[tuple[str, str, int]] = []

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        headers = {name: asked.headers[name] for name in ("Authorization", "Stripe-Version")}
        headers |= {name: asked.headers[name] for name in ("Content-Type", "Idempotency-Key") if name in asked.headers}
        answer = requests.request(asked.method, self.url + asked.path, headers=headers, data=asked.body, timeout=10)
        body = answer.json()
        if self.status and body.get("object") == "payment_intent":
            body["status"] = self.status
        self.answers.append((asked.method, re.sub(r"pi_\w+", "ID", urlsplit(asked.path).path), answer.status_code))
        return answer.status_code, body


@pytest.fixture
def recorder(mock_url: str) -> Recorder:
    return Recorder(mock_url)


@pytest.fixture
def server(recorder: Recorder) -> Iterator[LocalServer]:
    with serving(recorder) as server:
        yield server


@pytest.fixture
def provider(server: LocalServer) -> StripeProvider:
    return StripeProvider("sk_test_123", server.url)


INTENTS = "/v1/payment_intents"
CREATED, CONFIRMED = ("POST", INTENTS, 200), ("POST", f"{INTENTS}/ID/confirm", 200)
RETRIEVED, CANCELLED = ("GET", f"{INTENTS}/ID", 200), ("POST", f"{INTENTS}/ID/cancel", 200)


def test_capturing_is_valid(recorder: Recorder, provider: StripeProvider) -> None:
    references: list[str] = []
    recorder.status = "succeeded"
    assert provider.capture(CHARGE, references.append).is_captured
    assert recorder.answers == [CREATED, CONFIRMED]
    assert references[0].startswith("pi_")


def test_looking_up_and_cancelling_are_valid(recorder: Recorder, provider: StripeProvider) -> None:
    with pytest.raises(ProviderUnavailable, match="not decided"):  # the example is not cancelled by it
        provider.look_up(PAID)
    assert recorder.answers == [RETRIEVED, CANCELLED]


def test_refunding_is_valid(recorder: Recorder, provider: StripeProvider) -> None:
    provider.refund(PAID)
    with pytest.raises(ProviderUnavailable, match="not completed"):
        provider.refund(LARGER)
    assert recorder.answers == [("GET", "/v1/refunds", 200)] * 2 + [("POST", "/v1/refunds", 200)]


def test_reading_the_ledger_is_valid(recorder: Recorder, provider: StripeProvider) -> None:
    assert list(provider.ledger()) == []  # the examples are not of this shop
    assert recorder.answers == [("GET", INTENTS, 200)]


def test_an_invalid_request_would_be_noticed(recorder: Recorder, server: LocalServer) -> None:
    headers = {"Authorization": "Bearer sk_test_123", "Stripe-Version": "2026-10-28.endive"}
    body = {"amount": 100, "currency": "eur", "allow_redirects": "never"}
    assert requests.post(server.url + INTENTS, data=body, headers=headers, timeout=10).status_code == 400
    assert recorder.answers == [("POST", INTENTS, 400)]
