"""The audit of a shop under docker compose."""

from pathlib import Path

import pytest

from tools.audit import snapshot


def test_under_compose_the_web_services_are_asked_and_the_consumer_which_reaches_rabbitmq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$4: $7" >> {tmp_path}/log\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    snapshot.take(snapshot.read_in_compose, grace=0)
    assert (tmp_path / "log").read_text().splitlines() == [
        "notification-consumer: notification_service.audit",
        "order-service: order_service.audit",
        "product-service: product_service.audit",
        "user-service: user_service.audit",
    ]
