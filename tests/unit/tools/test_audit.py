"""An audit that cannot ask a service says so, which is no violation."""

import pytest

from tools.audit import snapshot
from tools.audit.snapshot import AuditError
from tools.services import SERVICES


def test_without_docker_the_audit_of_compose_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AuditError, match="docker compose exec .* failed: .*No such file"):
        snapshot.compose_reader()(SERVICES[0])
