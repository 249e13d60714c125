"""Missing programs are installed with apt: it is said what and why, nothing is asked, and no service is started."""

import os
import shutil
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
    monkeypatch.setattr(apt, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def write(name: str, action: str) -> None:
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\n{action}\n')
        (tmp_path / name).chmod(0o755)

    return write


@pytest.fixture
def bare(program: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing else on the PATH: this machine may have the program."""
    for needed in ("env", "sh", "rm", "chmod"):
        (tmp_path / needed).symlink_to(shutil.which(needed) or needed)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_rabbitmq_is_installed_without_questions_and_its_service_of_the_system_is_disabled(
    program: Callable[[str, str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program("apt-get", f'touch {tmp_path}/rabbitmq-server; echo noise; read answer && echo "asked" >> {tmp_path}/log')
    program("update-rc.d", "")
    assert apt.rabbitmq_server() == tmp_path / "rabbitmq-server"
    assert (tmp_path / "log").read_text().splitlines() == [
        "apt-get -qq --yes -o DPkg::Lock::Timeout=120 update",
        "apt-get -qq --yes -o DPkg::Lock::Timeout=120 install --no-install-recommends rabbitmq-server",
        "update-rc.d rabbitmq-server disable",
    ]
    output = capfd.readouterr()
    assert output.out == ""
    assert "installing rabbitmq-server and what it depends on, with apt: the message broker" in output.err


@pytest.mark.parametrize("existing", ["", "#!/bin/sh\nexit 104\n"])
def test_packages_start_no_service_while_they_are_installed_unless_the_machine_has_a_policy_of_its_own(
    program: Callable[[str, str], None], tmp_path: Path, existing: str
) -> None:
    policy = tmp_path / "policy-rc.d"
    if existing:
        policy.write_text(existing)
        policy.chmod(0o755)
    program("apt-get", f"{policy}; echo policy: $? >> {tmp_path}/log")
    assert apt.install("wrk", "for a test")
    assert (tmp_path / "log").read_text().count(f"policy: {104 if existing else 101}") == 2
    assert (policy.read_text() if policy.exists() else "") == existing


@pytest.mark.parametrize(
    ("tool", "package"),
    [("prometheus", "prometheus"), ("promtool", "prometheus"), ("amtool", "prometheus-alertmanager")],
)
@pytest.mark.usefixtures("bare")
def test_a_program_of_the_monitoring_is_installed_and_its_service_of_the_system_is_disabled(
    program: Callable[[str, str], None], tmp_path: Path, tool: str, package: str
) -> None:
    program("apt-get", f": > {tmp_path}/{tool}; chmod 755 {tmp_path}/{tool}")
    program("update-rc.d", "")
    assert getattr(apt, tool)() == getattr(apt, tool)() == tmp_path / tool
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[-1] for line in log] == ["update", package, "disable"]
    assert log[-1] == f"update-rc.d {package} disable"


def test_without_root_the_package_of_the_monitoring_is_named(
    program: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="needs promtool .* sudo apt-get install prometheus$"):
        apt.promtool()


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


@pytest.mark.usefixtures("bare")
def test_a_browser_is_installed_once(program: Callable[[str, str], None], tmp_path: Path) -> None:
    program("apt-get", f"echo '#!/bin/sh' > {tmp_path}/chromium; chmod 755 {tmp_path}/chromium")
    assert apt.chromium() == apt.chromium() == tmp_path / "chromium"
    assert [line.split()[-1] for line in (tmp_path / "log").read_text().splitlines()] == ["update", "chromium"]


@pytest.mark.usefixtures("bare")
def test_chrome_will_do_where_chromium_only_says_how_to_install_it(
    program: Callable[[str, str], None], tmp_path: Path
) -> None:
    program("chromium", "exit 1")
    program("google-chrome", "")
    program("apt-get", "")
    assert apt.chromium() == tmp_path / "google-chrome"
    assert "apt-get" not in (tmp_path / "log").read_text()


@pytest.mark.usefixtures("bare")
def test_without_a_browser_and_without_apt_there_is_none(program: Callable[[str, str], None]) -> None:
    program("chromium-browser", "exit 1")
    assert apt.chromium() is None
