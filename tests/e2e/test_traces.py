"""One trace from the request to the notification, whatever happens on the way, and nothing of it costs an order.

The shop sends its spans to a receiver in the test's process. All tests share one stack; what takes long (a lease that
must pass) begins at its start and is looked at in the end.
"""

import json
import re
import signal
import time
from collections.abc import Iterator
from statistics import median

import pytest
import requests

from tests.e2e.clients import Client, notifications_of
from tests.e2e.shop import own_stack
from tests.e2e.traced_shop import AWAY, HANG, MoodyReceiver, TracedShop, is_closed, listening, place
from tests.integration import mailroom
from tests.integration.mailroom import SILENCE, MailServer, answers
from tests.waiting import stalls, until
from tools.observe.spans import Link, Span
from tools.paths import ROOT
from tools.stack.spec import Options

PROGRAMS = ("order-service", "product-service", "order-worker", "notification-consumer")
CREATED = ("POST /orders", "publish shop.events:order_created", "process notifications", "send email", "send sms")
PUBLISH = "publish shop.events:order_created"
PROFILE = {"name": "Canary Byron", "phone": "+442079461234"}
ADDRESS = {"name": "Canary Receiver", "line1": "1 Canary Street", "city": "Canaryville", "country": "BE"}
SETTINGS = {
    "REGISTRATIONS_PER_MINUTE": "10000",
    "LEASE_SECONDS": "25",  # the shortest that there may be
    "OTEL_TRACES_SAMPLER_ARG": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "200",  # ms; what waits is sent so often
}
COMPLAINT = "spans may be lost, check the collector"


@pytest.fixture(scope="module")
def traced(mongodb_program: str) -> Iterator[TracedShop]:
    receiver, mail = MoodyReceiver(), MailServer()
    with listening(receiver), mailroom.listening(mail) as smtp:
        settings = {**SETTINGS, "SMTP_URL": f"smtp://127.0.0.1:{smtp}", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        options = Options(settings=settings, mongodb=mongodb_program)
        with own_stack(options) as stack:
            stack.up(stop_with_parent=True)
            yield TracedShop(stack, receiver, mail)


@pytest.fixture(scope="module")
def pot(traced: TracedShop) -> str:
    admin = Client(traced.shop).login(traced.shop.admin_email, traced.shop.admin_password)
    made = admin.post("/products", {"name": "Moka Pot", "price": "34.90", "stock": 100_000})
    admin.close()
    return str(made.json()["id"])


@pytest.fixture(scope="module")
def customer(traced: TracedShop) -> Iterator[Client]:
    client = Client(traced.shop).register(**PROFILE)
    yield client
    client.close()


@pytest.fixture(scope="module")
def claimed_by_the_dead(traced: TracedShop, customer: Client, pot: str) -> str:
    """An order whose notification was claimed by a consumer that was killed before it could send it."""
    mail, consumer = traced.mail, "notification-consumer"
    mail.step, mail.reply = "RCPT", SILENCE
    known = len(mail.names)
    order_id = place(customer, pot)
    until(lambda: len(mail.names) > known, "the consumer has begun to send")
    traced.stack.kill(consumer)
    mail.step = ""
    traced.stack.wait_until_ready()
    return order_id


def the(spans: list[Span], name: str, program: str = "") -> Span:
    """Return the only span with a name."""
    (span,) = (span for span in spans if span.name == name and program in ("", span.program))
    return span


@pytest.mark.usefixtures("claimed_by_the_dead")
def test_one_trace_leads_from_the_request_to_the_notification(traced: TracedShop, customer: Client, pot: str) -> None:
    order_id = place(customer, pot)
    spans = traced.of_order(order_id, *CREATED, "PUT /reservations/{order_id}", "PUT /reservations/{order_id}")
    request, published = the(spans, "POST /orders"), the(spans, PUBLISH)
    assert {span.trace_id for span in spans} == {request.trace_id}
    assert {span.program for span in spans} == {*PROGRAMS}
    call = the(spans, "PUT /reservations/{order_id}", "order-service")
    reservation, stored = the(spans, "PUT /reservations/{order_id}", "product-service"), the(spans, "OrderStore.create")
    processed = the(spans, "process notifications")
    parents = {span.span_id: span.parent_id for span in spans}
    assert (request.parent_id, call.kind, reservation.kind) == ("", "CLIENT", "SERVER")
    assert parents[call.span_id] == parents[stored.span_id] == parents[published.span_id] == request.span_id
    assert parents[reservation.span_id] == call.span_id
    assert parents[the(spans, "ReservationStore.reserve").span_id] == reservation.span_id
    assert (published.kind, published.links) == ("PRODUCER", (Link(request.trace_id, request.span_id),))
    assert parents[processed.span_id] == published.span_id
    assert processed.kind == "CONSUMER"
    assert processed.links[0] == Link(request.trace_id, request.span_id)
    assert parents[the(spans, "send email").span_id] == processed.span_id
    message = traced.message(order_id)
    event = json.loads(message["payload"])
    assert event["traceparent"].split("-")[1:3] == [request.trace_id, request.span_id]
    assert message["properties"]["headers"]["traceparent"].split("-")[1:3] == [request.trace_id, published.span_id]
    for program in PROGRAMS:
        assert f'"trace_id": "{request.trace_id}"' in traced.log(program), program


def test_spans_are_those_of_the_registry_with_no_other_attributes(traced: TracedShop) -> None:
    registry = json.loads((ROOT / "contracts" / "telemetry.json").read_text())["spans"]
    patterns = [
        (re.compile(re.sub(r"\\{\w+\\}", r".+", re.escape(each["name"]))), each["kind"], {*each["attributes"]})
        for each in registry
    ]
    spans = traced.receiver.spans.all()
    assert spans
    for span in spans:
        allowed = [names for name, kind, names in patterns if kind == span.kind and name.fullmatch(span.name)]
        assert any(span.attributes.keys() <= names for names in allowed), span


@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_a_trace_that_a_client_has_begun_is_continued(
    traced: TracedShop, customer: Client, pot: str, flags: str
) -> None:
    trace_id = f"{time.time_ns():032x}"
    order_id = place(customer, pot, traceparent=f"00-{trace_id}-00f067aa0ba902b7-{flags}")
    event = json.loads(traced.message(order_id)["payload"])
    assert event["traceparent"].split("-")[1] == trace_id
    assert event["traceparent"][-1] == ("0" if flags == "00" else event["traceparent"][-1])
    if flags != "00":
        assert the(traced.of_order(order_id, *CREATED), "POST /orders").parent_id == "00f067aa0ba902b7"
    else:
        notifications_of(customer, 1)
        time.sleep(1)  # a span that should not be there would have come
        assert [span for span in traced.receiver.spans.all() if span.trace_id == trace_id] == []


@pytest.mark.parametrize("rubbish", ["rubbish", "x" * 8000, f"00-{'A' * 32}-00F067AA0BA902B7-01", f"00-{'0' * 55}"])
def test_a_traceparent_that_is_none_is_ignored(traced: TracedShop, customer: Client, pot: str, rubbish: str) -> None:
    order_id = place(customer, pot, traceparent=rubbish)
    assert the(traced.of_order(order_id, *CREATED), "POST /orders").parent_id == ""


def test_with_a_share_of_0_no_span_is_sent_and_the_event_says_so(
    traced: TracedShop, customer: Client, pot: str
) -> None:
    with traced.restarted("order-service", OTEL_TRACES_SAMPLER_ARG="0"):
        order_id = place(customer, pot)
        traceparent = json.loads(traced.message(order_id)["payload"])["traceparent"]
    trace_id = traceparent.split("-")[1]
    assert traceparent.endswith("-00")
    until(lambda: trace_id in traced.log("notification-consumer"), "the trace's id is in the log of its notification")
    assert [span for span in traced.receiver.spans.all() if span.trace_id == trace_id] == []


def test_an_event_that_waited_for_the_worker_is_still_in_its_trace(
    traced: TracedShop, customer: Client, pot: str
) -> None:
    traced.stack.suspend("order-worker")
    order_id = place(customer, pot)
    time.sleep(2)
    traced.stack.resume("order-worker")
    spans = traced.of_order(order_id, *CREATED)
    assert float(the(spans, PUBLISH).attributes["shop.outbox.seconds"]) > 2
    assert {span.trace_id for span in spans} == {the(spans, "POST /orders").trace_id}


def test_retries_and_replays_are_further_spans_of_the_trace(traced: TracedShop, customer: Client, pot: str) -> None:
    traced.mail.rcpt = answers("451 4.3.0 Try again later", "550 5.1.1 No such mailbox")
    order_id = place(customer, pot)
    for attempts in (2, 3):  # after the retry; after the replay
        spans = traced.of_order(order_id, *CREATED, *["process notifications"] * (attempts - 1))
        if attempts == 2:
            traced.replay_dead_letters()
    processed = [span for span in spans if span.name == "process notifications"]
    assert {span.trace_id for span in spans} == {the(spans, "POST /orders").trace_id}
    assert [span.attributes["shop.disposition"] for span in processed] == ["retry", "dead_letter", "acknowledge"]
    assert [span.attributes["messaging.rabbitmq.attempt"] for span in processed] == [1, 2, 1]
    assert {span.parent_id for span in processed} == {the(spans, PUBLISH).span_id}


def test_a_consumer_that_dies_while_it_sends_leaves_the_rest_of_the_trace_to_another(
    traced: TracedShop, claimed_by_the_dead: str
) -> None:
    spans = traced.of_order(claimed_by_the_dead, "process notifications", "send email")
    last = [span for span in spans if span.name == "process notifications"][-1]
    assert {span.trace_id for span in spans} == {the(spans, "POST /orders").trace_id}
    assert last.attributes["shop.disposition"] == "acknowledge"
    assert len([mail for mail in traced.mail.received if claimed_by_the_dead in mail["Subject"]]) == 1


def test_what_identifies_a_person_or_opens_a_door_is_in_no_span_metric_or_log(
    traced: TracedShop, customer: Client, pot: str
) -> None:
    product = {"items": [{"product_id": pot, "quantity": 1}], "shipping_address": ADDRESS, "note": "canary note"}
    order_id = customer.post("/orders", product).json()["id"]
    customer.get("/products?q=canarysearch&category=canarycategory")
    customer.get(f"/orders/{order_id}?canaryquery=1")
    customer.get(f"/nothing/{customer.email}")
    assert customer.post("/login", {"email": customer.email, "password": "wrong canary"}).status_code == 401
    customer.post(f"/orders/{order_id}/pay", {"payment_method": "pm_card_ok"})
    traced.of_order(order_id, *CREATED)
    until(lambda: "/login" in {span.attributes.get("url.path") for span in traced.receiver.spans.all()}, "spans come")
    tokens = [customer.tokens["refresh_token"], *customer.tokens["access_token"].split(".")]
    secrets = [customer.email, customer.password, PROFILE["phone"][1:], "anary", "pm_card_ok", *tokens]
    pages = [page for name, page in traced.stack.pages().items() if name in traced.stack.services()]
    pages += [f"{url}/metrics" for url in traced.stack.urls.values()]
    shown = {page: requests.get(page, timeout=10).text for page in pages}
    assert all("process_cpu_seconds_total" in text for text in shown.values())
    shown |= {program: traced.log(program) for program in traced.stack.services()}
    shown["spans"] = b"\n".join(traced.receiver.bodies).decode(errors="replace")
    assert order_id in shown["spans"]
    for place_, text in shown.items():
        assert [secret for secret in secrets if secret in text] == [], place_


def order_times(customer: Client, pot: str, count: int = 30) -> list[float]:
    """Place orders, and return how long each took, in seconds."""
    times = []
    for _ in range(count):
        started = time.monotonic()
        place(customer, pot)
        times.append(time.monotonic() - started)
    return times


@pytest.mark.parametrize("mood", ["answers 500", "answers 429", "hangs", "is away"])
def test_a_bad_receiver_slows_no_order_delays_no_exit_and_fills_no_log(
    traced: TracedShop, customer: Client, pot: str, mood: str
) -> None:
    usual = order_times(customer, pot)
    known = {program: len(traced.log(program)) for program in traced.stack.services()}
    if mood == "is away":
        traced.receiver.mood = AWAY
        traced.receiver.shutdown()
        traced.receiver.server_close()
        until(is_closed(traced.receiver.url), "nobody listens")
    else:
        traced.receiver.mood = {"answers 500": 500, "answers 429": 429, "hangs": HANG}[mood]
    with stalls() as stalled:
        during = order_times(customer, pot)
    assert median(during) < 1.5 * median(usual) + 0.01
    assert sorted(during)[-2] < 3 * sorted(usual)[-2] + 0.1 + 3 * max(stalled)
    old = {program: traced.stack.processes(program) for program in traced.stack.services()}
    started = time.monotonic()
    for program in old:
        traced.stack.kill(program, signal.SIGTERM)
    until(lambda: not any(p.is_running() for found in old.values() for p in found), "all have ended", seconds=30)
    assert time.monotonic() - started < 5
    traced.stack.wait_until_ready()
    complaints = {program: traced.log(program)[length:].count(COMPLAINT) for program, length in known.items()}
    assert complaints["order-service"] > 0
    for program, count in complaints.items():
        assert count <= 2 * max(1, len(old[program]) - 1), "one a minute and process at most, and one at the exit"
    traced.receiver.released.set()
    traced.receiver.mood = 200
