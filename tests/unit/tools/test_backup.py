"""./dev backup and ./dev restore: what they ask of others, and what they say."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import restore
from deploy.archive.manifest import BackupError
from deploy.archive.verification import Backup
from tools import cli
from tools.audit.invariants import Check
from tools.backup import command, recovery, restoration
from tools.stack.readiness import StackError
from tools.stack.stack import Stack
from tools.stack.startup import RESTORE_MARK, Preparation, require_restored


def found(*numbers: int) -> Callable[[], list[Check]]:
    """Return an audit that finds so many violations, one time after the other, and the last number again and again."""
    rounds: Iterator[int] = iter(numbers)
    last = [numbers[-1]]

    def check() -> list[Check]:
        last[0] = next(rounds, last[0])
        return [Check("1", "", 9, {str(number): "" for number in range(last[0])})]

    return check


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock in which only sleeping takes time."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_the_audit_is_repeated_until_nothing_is_violated(clock: list[float]) -> None:
    assert restoration.violations(restoration.wait_for_rest(found(3, 3, 1, 0))) == 0
    assert clock == [3 * restoration.PAUSE]


def test_progress_is_waited_for_but_no_longer_than_it_goes_on(clock: list[float]) -> None:
    slow = [number for number in range(100, 4, -1) for _ in range(20)]
    assert restoration.violations(restoration.wait_for_rest(found(*slow))) == 5
    assert restoration.SECONDS_WITHOUT_PROGRESS < clock[0] - 95 * 20 * restoration.PAUSE < 90


def test_compose_writes_as_this_user_into_the_directory_of_this_user(tmp_path: Path) -> None:
    assert command.compose_command(tmp_path, ["user_service"]) == [
        *("docker", "compose", "run", "--rm", "-T", "--no-deps", "--user", f"{os.getuid()}:{os.getgid()}"),
        *("--volume", f"{tmp_path}:/backup", "provisioning"),
        *("python", "-m", "deploy.backup", "/backup", "--database=user_service"),
    ]


def test_without_docker_a_backup_of_compose_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["backup", str(tmp_path / "new"), "--compose"]) == 1
    assert "The backup failed: " in capsys.readouterr().err


def test_a_shop_that_does_not_run_is_not_backed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.back_up(tmp_path / "new", [], state=tmp_path) == 1
    assert "The shop is not running" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_restore_of_no_backup_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stack, "restart", lambda *_: pytest.fail("it stops the shop"))
    monkeypatch.setattr(command, "interrupt_on_signals", lambda: None)
    assert cli.main(["restore", str(tmp_path), "--force"]) == 1
    assert "is no complete backup: it has no manifest.json" in capsys.readouterr().err


def test_after_an_unfinished_restore_no_shop_starts_unless_its_data_is_removed(tmp_path: Path) -> None:
    require_restored(tmp_path)
    mark = tmp_path / RESTORE_MARK
    mark.parent.mkdir()
    mark.write_text("/backups/monday")
    with pytest.raises(StackError, match="The restore of /backups/monday has not finished"):
        Stack(tmp_path).up()


class StoppedStack:
    """A stack that does not run. It does the preparation of a restart, and what it holds back cannot start."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.is_running = lambda: False
        self.resume = self.down = lambda *_: None

    def administrators(self) -> dict[str, str]:
        return {"MONGO_URL": "mongodb://127.0.0.1:1"}

    def restart(self, preparation: Preparation) -> None:
        preparation.run()

    def wait_until_ready(self, *, held: set[str]) -> None:
        if not held:
            raise StackError("order-service does not start")


@pytest.fixture
def stack(tmp_path: Path) -> StoppedStack:
    (tmp_path / RESTORE_MARK).parent.mkdir()
    return StoppedStack(tmp_path)


def restoring(stack: StoppedStack, *databases: str) -> restoration.Restoration:
    verified = Backup(Path("/backups/monday"), None, databases, ())  # type: ignore[arg-type]
    return restoration.Restoration(stack, verified, record_only=True)  # type: ignore[arg-type]


def test_only_the_same_restore_may_be_repeated_without_force(
    stack: StoppedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(restore, "require_empty", lambda _url, backup: asked.append(backup.databases))
    monkeypatch.setattr(restore, "restore", lambda *_, **__: None)
    restoring(stack, "order_service").replace_data(force=False)
    assert asked == [("order_service",)]
    restoring(stack, "order_service").replace_data(force=False)
    assert asked == [("order_service",)]
    restoring(stack, "order_service", "user_service").replace_data(force=False)
    assert asked[1:] == [("order_service", "user_service")]


def test_the_decisions_are_shown_although_the_shop_does_not_start(
    stack: StoppedStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(_stack: Stack, path: Path, **_: bool) -> str:
        path.write_text('{"decide": "cancel it"}\n' if path.name == "decisions.jsonl" else "")
        return ""

    monkeypatch.setattr(recovery, "end_tokens", lambda _stack: "")
    monkeypatch.setattr(recovery, "empty_queues", write)
    monkeypatch.setattr(recovery, "reconcile", write)
    (stack.state / RESTORE_MARK).write_text("/backups/monday\n\n")
    with pytest.raises(StackError):
        restoring(stack).recover()
    assert 'DECIDE: {"decide": "cancel it"}' in capsys.readouterr().out


def test_every_matter_is_kept_and_the_first_ones_are_shown(tmp_path: Path) -> None:
    decisions = [{"decide": "cancel it", "order_id": str(number)} for number in range(25)]
    (tmp_path / "decisions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in decisions))
    (tmp_path / "dead-letters.jsonl").write_text("{}\n")
    lines = recovery.matters(tmp_path).splitlines()
    assert lines[0] == 'DECIDE: {"decide": "cancel it", "order_id": "0"}'
    assert lines[20] == "... and 5 more"
    assert lines[21:] == [
        f"25 matters for a person to decide; all are in {tmp_path / 'decisions.jsonl'}",
        f"The dead letters of before are in {tmp_path / 'dead-letters.jsonl'}",
    ]


def test_nothing_to_decide_is_said(tmp_path: Path) -> None:
    for name in ("decisions.jsonl", "dead-letters.jsonl"):
        (tmp_path / name).touch()
    assert recovery.matters(tmp_path) == "There is nothing for a person to decide."


def test_a_recovery_command_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    class Broken(Stack):
        def environment(self, name: str) -> dict[str, str]:
            return {"PATH": os.environ["PATH"], "PYTHONPATH": "user-service"}

    with pytest.raises(BackupError, match=r"user_service\.recovery failed: configuration: MONGO_URL is not set"):
        recovery.end_tokens(Broken(tmp_path))
