"""The MongoDB server of a stack: which one it is, how it starts, and the notes when it is not that of last time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from tests import ephemeral_servers
from tests.conftest import pytest_configure
from tests.waiting import until
from tools import cli
from tools.bench import targets
from tools.checks import command as checks
from tools.paths import ROOT
from tools.services import PORTS
from tools.stack import bootstrap_mongodb, dev_secrets, processes, server_history, startup
from tools.stack.mongodb import MongoServer
from tools.stack.readiness import StackError
from tools.stack.spec import Options, StackSpec

STAND_IN = Path(sys.executable).parent / "secantusd-py"
ELSEWHERE = Options(mongo_url="mongodb://root:pw@db.example/admin?authSource=admin", rabbitmq_url="amqp://a:pw@mq/")


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, with a secantusd-rs in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    install(folder, "secantusd-rs")
    return folder


def install(folder: Path, name: str) -> Path:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_without_a_mongod_the_pinned_stand_in_is_used_whatever_else_is_on_the_path(tmp_path: Path) -> None:
    assert MongoServer.choose(tmp_path, 1) == MongoServer(tmp_path / "secantusd-py", 1, STAND_IN)


def test_a_mongod_on_the_path_is_used(tmp_path: Path, path: Path) -> None:
    mongod = install(path, "mongod")
    assert MongoServer.choose(tmp_path, 1) == MongoServer(tmp_path / "mongod", 1, mongod)


@pytest.mark.parametrize(
    ("version", "used"), [("v7.0.28", "secantusd-py"), ("v8.0.4", "mongod"), ("v10.1.0", "mongod")]
)
def test_a_mongod_that_is_too_old_is_passed_over_unless_it_is_named(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str], version: str, used: str
) -> None:
    mongod = install(path, "mongod")
    mongod.write_text(f'#!/bin/sh\necho "db version {version}"\n')
    assert MongoServer.choose(tmp_path, 1).program.name == used
    assert ("older than MongoDB 8" in capsys.readouterr().err) == (used != "mongod")
    assert MongoServer.choose(tmp_path, 1, "mongod").program == mongod


def test_a_server_is_chosen_by_its_name_or_path(tmp_path: Path, path: Path) -> None:
    install(path, "mongod")
    elsewhere = install(tmp_path, "mongod")
    chosen = ("secantusd-rs", "secantusd-py", str(elsewhere))
    assert [MongoServer.choose(tmp_path, 1, name).program for name in chosen] == [
        path / "secantusd-rs",
        STAND_IN,
        elsewhere,
    ]


@pytest.mark.parametrize("name", ["mongod", "/nowhere/mongod", "sh", "/bin/sh"])
def test_a_named_server_that_is_not_here_is_refused_and_not_replaced(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match=f"There is no MongoDB server {name} here"):
        MongoServer.choose(tmp_path, 1, name)


def test_the_bench_takes_the_fastest(path: Path) -> None:
    assert targets.fastest_mongodb() == "secantusd-rs"
    install(path, "mongod")
    assert targets.fastest_mongodb() == "mongod"
    for program in path.iterdir():
        program.unlink()
    assert targets.fastest_mongodb() == "secantusd-py"


def test_a_mongod_logs_no_queries_and_leaves_restartable_sequences_to_glibc(tmp_path: Path, path: Path) -> None:
    install(path, "mongod")
    plan = StackSpec(tmp_path, PORTS, dev_secrets.load(tmp_path / "s.json"), Options(rabbitmq_url="amqp://a:b@mq/"))
    (mongodb,) = plan.server_programs()
    command = mongodb.command
    assert command[command.index("--slowOpSampleRate") + 1] == "0"
    assert mongodb.environment == {"GLIBC_TUNABLES": "glibc.pthread.rseq=1"}


def test_every_start_of_a_mongod_has_what_it_needs(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    (path / "mongod").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exit\necho "$GLIBC_TUNABLES" "$*" >> {starts}\nread wait\n'
    )
    (path / "mongod").chmod(0o755)

    def seen(number: int) -> None:
        until(lambda: len(starts.read_text().splitlines()) == number, "the server is started")

    monkeypatch.setattr(bootstrap_mongodb, "create_administrator", lambda *_: seen(1))
    with ephemeral_servers.secured_mongodb("secret"):
        seen(2)
    first, second = starts.read_text().splitlines()
    assert {line.split()[0] for line in (first, second)} == {"glibc.pthread.rseq=1"}
    assert ("--keyFile" in first, "--keyFile" in second) == (False, True)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv here")
def test_a_server_without_access_control_does_not_outlive_the_process_that_bootstraps_it(
    tmp_path: Path, path: Path
) -> None:
    install(path, "mongod").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 60\n")
    code = "import pathlib, sys; from tools.stack import bootstrap_mongodb as b; path = pathlib.Path(sys.argv[1]); "
    code += "b.bootstrap(b.MongoServer(path, 1, path / 'bin' / 'mongod'), 'secret')"
    environment = {"PATH": "/usr/bin:/bin", **processes.tags(tmp_path, "mongodb")}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, env=environment) as dev_up:
        until((tmp_path / "started").exists, "the server has started")
        dev_up.kill()
    until(lambda: not processes.find(tmp_path), "the server has ended")


@pytest.mark.parametrize("error", [SystemExit("no primary"), OperationFailure("not allowed"), OSError("no memory")])
def test_a_mongodb_that_cannot_be_bootstrapped_is_an_error_of_the_stack(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(bootstrap_mongodb, "create_administrator", fail)
    (tmp_path / "logs").mkdir()
    install(path, "mongod").write_text("#!/bin/sh\necho a line of its log; read wait\n")
    plan = StackSpec(tmp_path, PORTS, dev_secrets.load(tmp_path / "s.json"), Options(rabbitmq_url="amqp://a:b@mq/"))
    with pytest.raises(StackError, match=str(error)):
        startup.prepare(tmp_path, plan, "secret", lambda _: None)


def started(state: Path, options: Options) -> list[str]:
    """Return the notes of a start with these options."""
    plan = StackSpec(state, PORTS, dev_secrets.load(state / "secrets.json"), options)
    plan.write_configuration()
    return server_history.record(state, plan.servers())


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tools.apt.rabbitmq_server", lambda: Path("/usr/lib/rabbitmq/bin/rabbitmq-server"))
    (tmp_path / ".dev" / "data").mkdir(parents=True)
    return tmp_path / ".dev"


def test_there_is_no_note_while_the_servers_stay_the_same(state: Path) -> None:
    assert [started(state, Options()) for _ in range(2)] == [[], []]
    assert [server.text for server in server_history.last(state).values()] == [
        "secantusd-py, data in .dev/data/secantusd-py",
        "rabbitmq-server, data in .dev/data/rabbitmq",
    ]


def test_another_server_program_has_other_data_and_one_note_says_so(state: Path, path: Path) -> None:
    started(state, Options(mongodb="secantusd-rs"))
    notes = "\n".join(started(state, Options()))
    assert "MongoDB is not the same server as last time" in notes
    assert "secantusd-rs, data in .dev/data/secantusd-rs" in notes
    assert "./dev up --mongodb secantusd-rs" in notes
    assert "RabbitMQ is the same as last time" in notes
    assert started(state, Options()) == []


def test_data_that_an_earlier_version_recorded_is_recognised(state: Path) -> None:
    again = "./dev up --mongodb secantusd-rs"
    old = {"server": "secantusd-rs", "place": "data in .dev/data/secantusd-rs", "again": again}
    (state / "data" / "origins.json").write_text(json.dumps({"MongoDB": old}))
    assert again in "\n".join(started(state, Options()))
    assert started(state, Options()) == []


def test_a_server_that_is_not_on_the_path_is_named_by_its_path(state: Path, tmp_path: Path) -> None:
    mongod = install(tmp_path, "mongod")
    started(state, Options(mongodb=str(mongod)))
    assert f"./dev up --mongodb {mongod}" in "\n".join(started(state, Options()))


def test_notes_name_external_servers_without_their_passwords(state: Path) -> None:
    started(state, Options())
    external_notes = "\n".join(started(state, ELSEWHERE))
    assert "secantusd-py, data in .dev/data/secantusd-py" in external_notes
    assert "rabbitmq-server, data in .dev/data/rabbitmq" in external_notes
    assert "RabbitMQ is the same" not in external_notes
    back = "\n".join(started(state, Options(rabbitmq_url=ELSEWHERE.rabbitmq_url)))
    assert "the server of MONGO_URL, at db.example" in back
    assert ":pw@" not in external_notes + back + (state / "data" / "servers.json").read_text()


def test_another_broker_keeps_the_events_that_wait_in_it(state: Path) -> None:
    started(state, Options())
    assert "stay there" in started(state, Options(rabbitmq_url="amqp://a:b@mq/"))[-1]


def test_pytest_refuses_to_test_on_another_server_than_the_named_one() -> None:
    config: Any = SimpleNamespace(getoption=lambda _: "mongod")
    with pytest.raises(pytest.UsageError, match="there is no MongoDB server mongod here"):
        pytest_configure(config)


def test_arguments_of_pytest_keep_their_order_and_own_ones_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(checks, "run", lambda *command: ran.append(command) or 0)
    assert cli.main(["test", "-k", "a or b", "--mongodb", "mongod", "tests/unit", "-x"]) == 0
    assert ran == [("pytest", "--mongodb=mongod", "-k", "a or b", "tests/unit", "-x")]


def test_the_named_server_does_not_make_a_part_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "run", lambda *_: 0)
    monkeypatch.setattr(checks, "test_in_parallel", lambda choice: {("--mongodb=mongod",): 17}[tuple(choice)])
    assert checks.test([], in_compose=False, server="mongod") == 17
