"""Logs are one line of JSON per record."""

import io
import json
import logging
import sys
import threading
import time
from typing import Any

import pytest

from chassis import logs
from chassis.auth.access import public
from chassis.telemetry import context
from chassis.telemetry.context import TraceContext
from chassis.web.app import make_app


def line_of(message: str, *args: object, level: int = logging.INFO, **more: Any) -> dict[str, Any]:
    extra = more.pop("extra", {})
    record = logging.getLogger("shop").makeRecord("shop", level, __file__, 1, message, args, None, extra=extra, **more)
    text = logs.JsonFormatter("order-service").format(record)
    assert "\n" not in text
    return dict(json.loads(text))


def test_a_line_has_its_fields_in_order() -> None:
    line = line_of("sold %d", 3, level=logging.WARNING, extra={"status": 200})
    assert list(line) == ["time", "level", "service", "logger", "message", "status"]
    assert line | {"time": None} == {
        "time": None,
        "level": "warning",
        "service": "order-service",
        "logger": "shop",
        "message": "sold 3",
        "status": 200,
    }


def test_the_time_is_utc_with_milliseconds() -> None:
    record = logging.makeLogRecord({"msg": "", "created": 1769860800.0071})
    assert json.loads(logs.JsonFormatter("s").format(record))["time"] == "2026-01-31T12:00:00.007Z"


def test_the_request_id_is_there_inside_its_block_only() -> None:
    with logs.bind_request_id("abc"):
        assert line_of("inside")["request_id"] == "abc"
    assert "request_id" not in line_of("outside")


def test_line_breaks_in_a_message_cannot_forge_a_line() -> None:
    assert line_of('one\n{"level": "info"}')["message"] == 'one\n{"level": "info"}'


def test_an_exception_is_logged_with_its_causes_and_tracebacks_but_without_texts() -> None:
    def look_up(address: str) -> None:
        raise KeyError(address)

    address = "@".join(["ana", "example.com"])
    try:
        try:
            look_up(address)
        except KeyError as exc:
            raise ValueError(address) from exc
    except ValueError:
        record = logging.getLogger("s").makeRecord("s", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    logged = json.loads(logs.JsonFormatter("s").format(record))["exception"]
    last, cause = logged.split("\ncaused by\n")
    assert last.endswith("\nValueError")
    assert cause.endswith("\nKeyError")
    assert (__file__ in cause, "look_up" in cause) == (True, True)
    assert address not in logged


def test_causes_that_form_a_circle_come_to_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    record = logging.makeLogRecord({"exc_info": (ValueError, first, None)})
    logged = json.loads(logs.JsonFormatter("s").format(record))["exception"]
    assert logged == "ValueError\ncaused by\nKeyError"


def test_an_uncaught_exception_is_logged_without_its_text_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    logs.configure("order-worker")

    def fail() -> None:
        raise ValueError("@".join(["ana", "example.com"]))

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError:
        sys.excepthook(*sys.exc_info())
    logged = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [line["message"] for line in logged] == ["unexpected error in a thread", "unexpected error"]
    assert all(line["exception"].endswith("ValueError") for line in logged)
    assert "ana@" not in output.getvalue() + capsys.readouterr().err


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    assert line_of("x", extra={"kinds": {1}})["kinds"] == "{1}"


def test_the_line_of_a_request_is_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure('order "service"')
    monkeypatch.setattr(time, "time", lambda: 1798718400.0419)
    with logs.bind_request_id("r-1"), context.use(TraceContext("a" * 32, "b" * 16)):
        logs.access('GE"T', "/orders/\n", 200, 0.01234)
        logged = {"method": 'GE"T', "path": "/orders/\n", "status": 200, "milliseconds": 12.3}
        logging.getLogger("access").info("request", extra=logged)
    by_hand, by_formatter = capsys.readouterr().out.splitlines()
    assert by_hand == by_formatter
    logging.getLogger().setLevel(logging.WARNING)
    logs.access("GET", "/orders", 200, 0.01)
    assert capsys.readouterr().out == ""


def test_each_line_has_its_own_second(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("order-service")
    shown = []
    for now in (1798718399.9999, 1798718400.0, 1798718400.9, 1798718401.25, 1798718400.2):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        logs.access("GET", "/orders", 200, 0.01)
        shown.append(json.loads(capsys.readouterr().out)["time"][14:])
    assert shown == ["59:59.999Z", "00:00.000Z", "00:00.900Z", "00:01.250Z", "00:00.200Z"]


def test_the_line_of_a_request_is_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(disk))
    logs.configure("order-service")
    logs.access("GET", "/orders", 200, 0.01)
    assert json.loads(disk.getvalue())["path"] == "/orders"


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_request_whose_line_cannot_be_written_is_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("things", "things", "")
    app.add_url_rule("/things", view_func=public(lambda: "made"))
    logs.configure("things")
    monkeypatch.setattr(sys, "stdout", FullDisk())
    assert app.test_client().get("/things").text == "made"
    assert app.test_client().get("/nothing").json["type"] == "not-found"


def test_configure_sends_everything_to_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    logs.configure("user-service", "info")
    logging.getLogger("x").info("seen")
    logging.getLogger("x").debug("not seen")
    logging.getLogger("urllib3.connectionpool").info("not seen")
    assert [json.loads(line)["message"] for line in output.getvalue().splitlines()] == ["seen"]
