"""The services print what they have stored about one order, and nothing about another."""

import json
import sys
from datetime import UTC, datetime

import mongomock
import pytest

from chassis import audit_export
from notification_service.history import NotificationHistory
from product_service.store import StockAudit

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_stored_document_is_printed_with_its_times_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    audit_export.write([{"kind": "order_document", "_id": "o1", "history": [{"status": "confirmed", "at": NOON}]}])
    (line,) = capsys.readouterr().out.splitlines()
    entry = {"status": "confirmed", "at": "2026-01-31T12:00:00.000Z"}
    assert json.loads(line) == {"kind": "order_document", "_id": "o1", "history": [entry]}


def test_what_json_does_not_know_is_not_guessed() -> None:
    with pytest.raises(TypeError, match="set has no form in JSON"):
        audit_export.write([{"lines": {1, 2}}])


@pytest.mark.parametrize(
    ("arguments", "order_id"), [([], None), (["--order", "o1"], "o1"), (["--order=-1"], "-1"), (["--order", ""], "")]
)
def test_the_command_line_names_an_order_or_none(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], order_id: str | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["audit", *arguments])
    assert audit_export.order_option() == order_id


def test_product_service_prints_the_reservation_of_the_order() -> None:
    database = mongomock.MongoClient(tz_aware=True).db
    database.reservations.insert_many([{"_id": name, "state": "held", "created_at": NOON} for name in ("o1", "o10")])
    (record,) = StockAudit(database).order_records("o1")
    assert record == {"kind": "reservation_document", "_id": "o1", "state": "held", "created_at": NOON}
    assert StockAudit(database).order_records("o2") == []


def test_notification_service_prints_the_notifications_of_the_order() -> None:
    database = mongomock.MongoClient(tz_aware=True).db
    for order_id in ("o1", "o10", "o"):
        notification = {"_id": f"{order_id}.order_created:email", "order_id": order_id, "created_at": NOON}
        database.notifications.insert_one(notification | {"recipient": "ada@example.com"})
    (record,) = NotificationHistory(database).order_records("o1")
    assert (record["kind"], record["_id"]) == ("notification_document", "o1.order_created:email")
    assert record["recipient"] == "ada@example.com"
    assert NotificationHistory(database).order_records("o2") == []
