"""./dev order: it finds what belongs to an order, wherever that is, and shows it on one screen."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.audit.snapshot import ReadRecords
from tools.order import command, log_lines, screen
from tools.order.case import Case, Sources
from tools.order.recent_events import Broker, BrokerSilent
from tools.services import Service
from tools.stack.stack import Stack

Record = dict[str, Any]

ORDER_ID = "6f1cafe0d5b84b3c9a57e3a1f0c2d4e6"
NOON, LATER = "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:05.250Z"
ORDER = {
    "kind": "order_document",
    "_id": ORDER_ID,
    "status": "paid",
    "user": {"id": "u1", "email": "ada@example.com", "phone": None},
    "shipping_address": {"name": "Ada", "line1": "12 St James's Square", "city": "London", "country": "GB"},
    "note": "Ring twice\x1b[2J",
    "lines": [{"product_id": "p1", "name": "Moka Pot", "unit_price": 3490, "quantity": 2}],
    "total": 6980,
    "currency": "EUR",
    "history": [
        {"status": "confirmed", "at": NOON, "by": "customer"},
        {"status": "paid", "at": LATER, "by": "customer"},
    ],
    "payment": {
        **{"status": "paid", "attempt": 2, "provider": "simulated", "method": "pm_card_ok", "amount": 6980},
        "paid_at": LATER,
    },
    "pay_by": "2026-01-31T12:30:00.000Z",
    "outbox": [{"id": f"{ORDER_ID}.order_paid", "type": "order_paid", "time": LATER, "requestid": "req-pay"}],
}
RESERVATION = {
    **{"kind": "reservation_document", "_id": ORDER_ID, "state": "held", "created_at": NOON, "asked": []},
    "lines": [{"product_id": "p1", "name": "Moka Pot", "unit_price": 3490, "quantity": 2}],
}
NOTIFICATION = {
    **{"kind": "notification_document", "_id": f"{ORDER_ID}.order_created:email", "channel": "email"},
    **{"status": "sent", "subject": "Your order", "created_at": NOON, "error": None},
}
CREATED = {"subject": ORDER_ID, "type": "order_created", "time": NOON, "requestid": "req-order"}


def access(time: str, service: str, request_id: str, method: str, path: str, status: int) -> str:
    line = {"time": time, "level": "info", "service": service, "logger": "access", "message": "request"}
    return json.dumps({**line, "request_id": request_id, "method": method, "path": path, "status": status}) + "\n"


LOG = [
    access("2026-01-31T12:00:00.020Z", "order-service", "req-order", "POST", "/orders", 201),
    access("2026-01-31T12:00:05.300Z", "order-service", "req-pay", "POST", f"/orders/{ORDER_ID}/pay", 200),
    access("2026-01-31T12:00:01.000Z", "order-service", "poll-1", "GET", f"/orders/{ORDER_ID}", 200),
    access("2026-01-31T12:00:02.000Z", "order-service", "poll-2", "GET", f"/orders/{ORDER_ID}", 200),
    access("2026-01-31T12:00:03.000Z", "order-service", "other", "GET", "/orders/another", 200),
    "\x1b[2K"  # as docker compose prints it
    + access("2026-01-31T12:00:00.010Z", "product-service", "req-order", "PUT", f"/reservations/{ORDER_ID}", 201),
    json.dumps({"time": LATER, "level": "warning", "service": "order-worker", "message": "a payment waits"})
    + " and no JSON of a program\n",
    json.dumps(
        {
            **{"time": "2026-01-31T12:00:04.000Z", "level": "warning", "service": "order-worker", "logger": "x"},
            **{"message": "a payment waits to be settled", "order_id": ORDER_ID},
            "exception": '  File "x.py", line 1, in f\n    f()\nOSError',
        }
    ),
    f"{ORDER_ID} in the output of something else\n",
]


def sources(*records: Record, log: list[str] = LOG, broker: Broker | None = None) -> Sources:
    asked: list[list[str]] = []

    def reader(arguments: list[str]) -> ReadRecords:
        asked.append(arguments)

        def read(service: Service) -> list[Record]:
            assert asked == [[f"--order={ORDER_ID}"]]
            kind = f"{service.name.removesuffix('-service').replace('product', 'reservation')}_document"
            return [record for record in records if record["kind"] == kind]

        return read

    def silent() -> Broker:
        raise BrokerSilent("RabbitMQ's management API at http://nowhere does not answer")

    return Sources(reader, (lambda: broker) if broker else silent, lambda: log)


class Queue(BaseHTTPRequestHandler):
    """RabbitMQ's management API with three messages in the queue."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["ackmode"] == "ack_requeue_true"
        known = self.path == "/api/queues/%2F/events.recent/get" and self.headers["Authorization"]
        payloads = [json.dumps(CREATED), json.dumps({**CREATED, "subject": "another"}), "no event"]
        answer = json.dumps([{"payload": payload} for payload in payloads]).encode()
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Write nothing to the output of the tests."""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with HTTPServer(("127.0.0.1", 0), Queue) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Broker(f"http://127.0.0.1:{server.server_port}", ("guest", "guest"))
        server.shutdown()


def test_the_screen_shows_all_that_is_known_of_an_order(broker: Broker) -> None:
    case = Case.collect(ORDER_ID, sources(ORDER, RESERVATION, NOTIFICATION, broker=broker))
    assert list(screen.lines(case)) == [
        f"Order {ORDER_ID}",
        "  status      paid",
        "  buyer       u1, ada@example.com",
        "  address     Ada, 12 St James's Square, London, GB",
        "  note        Ring twice\\x1b[2J",
        "  pay by      2026-01-31 12:30:00.000",
        "  line           2 x Moka Pot  34.90 each  (p1)",
        "  total       69.80 EUR",
        "  history     2026-01-31 12:00:00.000  confirmed by customer",
        "  history     2026-01-31 12:00:05.250  paid by customer",
        "Stock, by product-service",
        "  held, recorded at 2026-01-31 12:00:00.000",
        "     2 x p1",
        "Payment",
        "  paid: 69.80 by pm_card_ok (simulated)",
        "  attempt 2, paid_at 2026-01-31 12:00:05.250",
        "Outbox: events that wait to be published",
        "  2026-01-31 12:00:05.250  order_paid  request req-pay",
        "Events published, of the latest 1000 in events.recent",
        "  2026-01-31 12:00:00.000  order_created  request req-order",
        "Notifications",
        "  2026-01-31 12:00:00.000  email  sent  Your order",
        "Log lines of its requests",
        "  2026-01-31 12:00:00.010  req-orde  product-service        info     PUT /reservations/6f1cafe0... 201",
        "  2026-01-31 12:00:00.020  req-orde  order-service          info     POST /orders 201",
        "  2026-01-31 12:00:01.000  poll-1    order-service          info     GET /orders/6f1cafe0... 200"
        "  ... 1 more until 2026-01-31 12:00:02.000",
        "  2026-01-31 12:00:04.000  -         order-worker           warning  a payment waits to be settled"
        " order_id=6f1cafe0... exception=OSError",
        "  2026-01-31 12:00:05.300  req-pay   order-service          info     POST /orders/6f1cafe0.../pay 200",
    ]


def test_the_request_of_an_event_finds_lines_that_name_no_order() -> None:
    lines = [access(NOON, "user-service", "req-pay", "POST", "/token", 200)]
    case = Case.collect(ORDER_ID, sources(ORDER, log=lines))
    assert [line["path"] for line in case.log] == ["/token"]


def test_what_the_worker_did_for_other_orders_is_left_out() -> None:
    """All its calls have one request id."""
    lines = [
        access(NOON, "product-service", "worker", "DELETE", f"/reservations/{order_id}", 204)
        for order_id in (ORDER_ID, "another")
    ]
    case = Case.collect(ORDER_ID, sources(ORDER, log=lines))
    assert [line["path"] for line in case.log] == [f"/reservations/{ORDER_ID}"]


def test_a_rejected_order_shows_the_refusal_and_what_is_not_there() -> None:
    refusal = {"code": "insufficient-stock", "detail": "Only 1 left.", "status": 409, "title": "x", "members": {}}
    order = {"kind": "order_document", "_id": ORDER_ID, "status": "rejected", "refusal": refusal}
    shown = list(screen.lines(Case.collect(ORDER_ID, sources(order, log=[]))))
    assert shown[:3] == [
        f"Order {ORDER_ID}",
        "  status      rejected",
        "  refusal     insufficient-stock, Only 1 left.",
    ]
    assert shown[3:] == [
        *("Stock, by product-service", "  none", "Payment", "  none"),
        *("Outbox: events that wait to be published", "  none"),
        "Events published, of the latest 1000 in events.recent",
        "  RabbitMQ's management API at http://nowhere does not answer",
        *("Notifications", "  none", "Log lines of its requests", "  none"),
    ]


def test_a_reservation_without_an_order_is_shown() -> None:
    case = Case.collect(ORDER_ID, sources(RESERVATION | {"state": "released", "lines": []}, log=[]))
    assert case.is_known
    shown = list(screen.lines(case))
    assert shown[1] == "  none: order-service does not have it"
    assert shown[3] == "  released, recorded at 2026-01-31 12:00:00.000"


def test_an_order_that_no_service_knows_is_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "of_compose", lambda: sources())
    assert command.main(Stack(tmp_path), ORDER_ID, in_compose=True) == 1
    output = capsys.readouterr()
    assert (output.out, f"There is no order '{ORDER_ID}'." in output.err) == ("", True)


def test_without_a_running_shop_there_is_nothing_to_ask(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(Stack(tmp_path), ORDER_ID, in_compose=False) == 2
    assert "./dev up" in capsys.readouterr().err


def test_a_broker_that_refuses_or_is_away_says_where_it_was_asked(broker: Broker) -> None:
    for wrong in (Broker(broker.url, broker.account, "other"), Broker("http://127.0.0.1:1", broker.account)):
        with pytest.raises(BrokerSilent, match=f"management API at {wrong.url} does not answer"):
            wrong.events(ORDER_ID)


def test_the_logs_of_all_programs_are_read_rotated_ones_first(tmp_path: Path) -> None:
    for name in ("order-service.log", "order-service.log.1", "order-worker.log", "mongodb.log"):
        (tmp_path / name).write_text(f"{name}\n")
    assert list(log_lines.of_files(tmp_path)) == ["order-service.log.1\n", "order-service.log\n", "order-worker.log\n"]
