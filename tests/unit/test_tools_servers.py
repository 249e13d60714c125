"""How a MongoDB server is started."""

from pathlib import Path

import pytest

from tests.waiting import until
from tools import first_start, secret_store, throwaway
from tools.blueprint import PORTS, Blueprint, Options


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str) -> Path:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_a_mongod_logs_no_queries_and_leaves_restartable_sequences_to_glibc(tmp_path: Path, path: Path) -> None:
    install(path, "mongod")
    plan = Blueprint(tmp_path, PORTS, secret_store.load(tmp_path / "s.json"), Options(rabbitmq_url="amqp://a:b@mq/"))
    (mongodb,) = plan.server_programs()
    command = mongodb.command
    assert command[command.index("--slowOpSampleRate") + 1] == "0"
    assert mongodb.environment == {"GLIBC_TUNABLES": "glibc.pthread.rseq=1"}


def test_every_start_of_a_mongod_has_what_it_needs(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    (path / "mongod").write_text(f'#!/bin/sh\necho "$GLIBC_TUNABLES" "$*" >> {starts}\nread wait\n')
    (path / "mongod").chmod(0o755)

    def seen(number: int) -> None:
        until(lambda: len(starts.read_text().splitlines()) == number, "the server is started")

    monkeypatch.setattr(first_start, "create_administrator", lambda *_: seen(1))
    with throwaway.secured_mongodb("secret"):
        seen(2)
    first, second = starts.read_text().splitlines()
    assert {line.split()[0] for line in (first, second)} == {"glibc.pthread.rseq=1"}
    assert ("--keyFile" in first, "--keyFile" in second) == (False, True)
