"""Missing programs are installed with apt, politely: it is said what and why, and nothing else changes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import apt


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a program on the PATH that logs its command line and then runs a line of shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(apt, "RABBITMQ_SCRIPTS", (tmp_path / "rabbitmq-server",))
    monkeypatch.setattr(apt, "STATE", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def write(name: str, action: str) -> None:
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\n{action}\n')
        (tmp_path / name).chmod(0o755)

    return write


def test_rabbitmq_is_installed_without_questions_and_its_service_of_the_system_is_disabled(
    program: Callable[[str, str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program("apt-get", f"touch {tmp_path}/rabbitmq-server; echo noise")
    program("service", "")
    program("update-rc.d", "")
    assert apt.rabbitmq_server() == tmp_path / "rabbitmq-server"
    update, install, *service = (tmp_path / "log").read_text().splitlines()
    assert update == "apt-get -qq --yes update"
    assert install.startswith("apt-get -qq --yes install --no-install-recommends")
    assert install.endswith(" rabbitmq-server")
    assert service == ["service rabbitmq-server stop", "update-rc.d rabbitmq-server disable"]
    output = capfd.readouterr()
    assert output.out == ""
    assert "installing rabbitmq-server and what it depends on, with apt: the message broker" in output.err


def test_a_program_that_is_here_is_used_as_it_is(program: Callable[[str, str], None], tmp_path: Path) -> None:
    program("apt-get", "")
    program("rabbitmq-server", "")
    assert apt.rabbitmq_server() == tmp_path / "rabbitmq-server"
    assert not (tmp_path / "log").exists()


def test_without_root_and_a_sudo_that_asks_nothing_the_command_is_named(
    program: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program("apt-get", "")
    program("sudo", "exit 1")
    with pytest.raises(SystemExit, match="sudo apt-get install rabbitmq-server"):
        apt.rabbitmq_server()
    assert (tmp_path / "log").read_text() == "sudo -n true\n"
