"""A stack: its parts, its supervision, and the messages when it cannot start."""

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from tests.waiting import until
from tools.paths import ROOT
from tools.services import PORTS, SERVICES
from tools.stack import command, dev_secrets, launch, open_files, processes, readiness, spec, supervision
from tools.stack.readiness import StackError
from tools.stack.spec import Options, StackSpec
from tools.stack.stack import Stack

ELSEWHERE = Options(
    mongo_url="mongodb://root:pw@db.example:27018/admin?authSource=admin&replicaSet=rs1",
    rabbitmq_url="amqp://root:pw@mq.example:5673/shop",
    extra={"order-worker": {"LOG_LEVEL": "DEBUG"}},
)


SERVICE_NAMES = [service.name for service in SERVICES]


@pytest.fixture
def plan(tmp_path: Path) -> StackSpec:
    return StackSpec(tmp_path, PORTS, dev_secrets.load(tmp_path / "secrets.json"), ELSEWHERE)


def test_services_get_accounts_of_their_own_on_the_administrators_servers(plan: StackSpec, tmp_path: Path) -> None:
    password = dev_secrets.load(tmp_path / "secrets.json")["order_service"]
    mongo_url = f"mongodb://order_service:{password}@db.example:27018/order_service?replicaSet=rs1"
    assert plan.service_mongo_url("order_service") == mongo_url
    assert plan.service_rabbitmq_url("order_service") == f"amqp://order_service:{password}@mq.example:5673/shop"


def test_external_servers_are_not_started_and_their_ports_are_not_needed(plan: StackSpec) -> None:
    assert plan.server_programs() == []
    assert {"mongodb", "rabbitmq", "rabbitmq-management"}.isdisjoint(plan.ports_to_bind())


def test_extra_settings_reach_their_program_only(plan: StackSpec) -> None:
    levels = {program.name: program.environment.get("LOG_LEVEL") for program in plan.service_programs()}
    assert levels.pop("order-worker") == "DEBUG"
    assert set(levels.values()) == {None}


def test_an_environment_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"WEB_CONCURRENCY": "", "MONGO_URL": "", "LOG_LEVEL": "DEBUG"})
    nothing: dict[str, dict[str, str]] = {"order-service": {}, "order-worker": {}}
    assert command.options_from_environment("") == Options(settings={"LOG_LEVEL": "DEBUG"}, extra=nothing)


def test_what_names_the_shop_and_configures_traces_is_passed_to_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    forwarded = {"SHOP_NAME": "Mugs", "SHOP_ADDRESS": "Rue 1\n1000 Brussels", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    monkeypatch.setattr(os, "environ", {**forwarded, "OTHER": "x", "SHOP_STACK": "/tmp/x"})
    assert command.options_from_environment("").settings == forwarded


def test_worker_and_consumer_serve_their_metrics_on_ports_of_their_own(plan: StackSpec) -> None:
    table = {program.name: program for program in plan.service_programs()}
    assert table["order-worker"].environment["METRICS_PORT"] == "9464"
    assert table["notification-consumer"].page == "http://127.0.0.1:9465/metrics"
    assert {name for name, each in table.items() if "METRICS_PORT" not in each.environment} == {*SERVICE_NAMES}
    assert {each.environment["METRICS_HOST"] for each in table.values() if each.page} == {"127.0.0.1"}


def test_a_port_of_metrics_that_is_in_use_is_no_reason_not_to_start(plan: StackSpec) -> None:
    assert plan.ports_to_bind().keys() == {*SERVICE_NAMES}


def test_how_orders_are_paid_is_passed_to_the_programs_that_ask_the_provider_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    payment = {"PAYMENT_PROVIDER": "stripe", "STRIPE_API_KEY": "sk_test_1"}
    monkeypatch.setattr(os, "environ", {**payment, "PAYMENT_MINUTES": "", "RABBITMQ_URL": "amqp://a:b@mq/"})
    options = command.options_from_environment("")
    assert options.settings == {}
    plan = StackSpec(tmp_path, PORTS, dev_secrets.load(tmp_path / "secrets.json"), options)
    for program in plan.service_programs():
        told = {name: text for name, text in program.environment.items() if name.startswith(("PAYMENT_", "STRIPE_"))}
        assert told == (payment if program.name.startswith("order-") else {}), program.name


def test_the_demo_has_a_payment_provider(plan: StackSpec) -> None:
    providers = {program.name: program.environment.get("PAYMENT_PROVIDER") for program in plan.service_programs()}
    assert {name for name, provider in providers.items() if provider} == {"order-service", "order-worker"}
    assert set(providers.values()) == {"simulated", None}


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", workers)
    assert command.up(detach=True, fresh=False) == 1
    assert "WEB_CONCURRENCY must be a whole number of at least 1" in capsys.readouterr().err


def test_every_command_line_names_its_package(plan: StackSpec) -> None:
    commands = {program.name: program.command[-1] for program in plan.service_programs()}
    assert commands["order-service"] == "order_service:create_app()"
    assert commands["order-worker"] == "order_service.worker"
    assert commands["notification-consumer"] == "notification_service.consumer"


def test_secrets_stay_and_are_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    assert dev_secrets.load(path) == dev_secrets.load(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_supervisord_understands_its_configuration_whatever_the_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "100% of it #2 ;x 'a' \"b\" $HOME & ö"
    for folder in ("run", "logs"):
        (state / folder).mkdir(parents=True)
    supervision.write_configuration(state, {"servers": [], "services": ["web"]})
    monkeypatch.chdir(state)
    options = ServerOptions()
    options.realize(["-c", supervision.CONFIGURATION])
    (group,) = options.process_group_configs
    (web,) = group.process_configs
    assert options.logfile == f"{state}/logs/supervisord.log"
    assert (group.name, web.name, web.stdout_logfile) == ("services", "web", "logs/web.log")
    assert shlex.split(web.command) == ["/bin/sh", "-c", 'exec "$SHOP_PYTHON" -m tools.stack.launch web']


@pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv here")
def test_a_stack_in_the_foreground_stops_when_its_dev_up_is_killed(tmp_path: Path) -> None:
    for folder in ("run", "logs"):
        (tmp_path / folder).mkdir()
    supervision.write_configuration(tmp_path, {})
    code = "import pathlib, sys, time; from tools.stack import supervision as s; "
    code += "s.start(pathlib.Path(sys.argv[1]), stop_with_parent=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT) as dev_up:
        until((tmp_path / "run" / "supervisord.pid").exists, "supervisord has started")
        assert supervision.is_running(tmp_path)
        dev_up.kill()
    until(lambda: not supervision.is_running(tmp_path), "supervisord has stopped")


STOPS_SLOWLY = """
import os, signal, time
def stop(*_):
    os.write(1, b"stopping" + bytes([10]))  # print() fails while it is interrupted itself
    time.sleep(0.5)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("by_dev_down", "code"), [(True, 0), (False, 1)])
def test_a_stack_in_the_foreground_may_end_by_dev_down_but_not_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by_dev_down: bool, code: int
) -> None:
    monkeypatch.setattr(command, "STOP_SIGNALS", ())
    (tmp_path / "run").mkdir()
    (tmp_path / "programs.json").write_text('{"web": {"command": ["web"]}}')
    stack = Stack(tmp_path)
    tags = processes.tags(tmp_path, "web")
    with subprocess.Popen([sys.executable, "-c", STOPS_SLOWLY], env=tags, stdout=subprocess.PIPE, text=True) as web:
        assert web.stdout
        assert web.stdout.readline() == "started\n"
        down = threading.Thread(target=stack.down)
        if by_dev_down:
            down.start()
            assert web.stdout.readline() == "stopping\n"
        assert command.run_in_foreground(stack) == code
        if by_dev_down:
            down.join()
    assert ("supervisord has ended" in capsys.readouterr().err) == (not by_dev_down)


def test_a_supervisord_that_does_not_start_is_noticed_at_once_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "SUPERVISOR_SECTION", "[supervisord]\nnodaemon = perhaps\n")
    stack = Stack(tmp_path / "state", spec.free_ports(), ELSEWHERE)
    started = time.monotonic()
    with pytest.raises(StackError, match=r"supervisord, which starts all programs, has ended.(.|\n)*perhaps"):
        stack.up(fresh=True)
    assert time.monotonic() - started < 30
    assert (stack.state / "data").is_dir(), "also with external servers, to record them"


@pytest.mark.parametrize(
    ("hard", "allowed"), [(1024, 1024), (20_000, 20_000), (1 << 30, 65_536), (resource.RLIM_INFINITY, 65_536)]
)
def test_as_many_files_may_be_opened_as_the_hard_limit_allows_within_reason(
    monkeypatch: pytest.MonkeyPatch, hard: int, allowed: int
) -> None:
    limits_set: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits_set.append(pair))
    open_files.raise_limit()
    assert limits_set == [(allowed, hard)]


def test_a_stack_that_may_not_open_enough_files_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 512))
    with pytest.raises(SystemExit, match="may open only 512 files here"):
        Stack(tmp_path / "state", spec.free_ports(), ELSEWHERE).up()


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    code = """
import sys
from tools import cli
def define(_):
    return lambda _: print("line\\n" * 100_000) or 0
cli.COMMANDS = {"status": define}
sys.exit(cli.run())
"""
    command = [sys.executable, "-c", code, "status"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_starts_of_a_program_are_a_second_apart(tmp_path: Path) -> None:
    started = time.monotonic()
    launch.count_start(tmp_path / "web.starts")
    launch.count_start(tmp_path / "web.starts")
    assert 0.8 < time.monotonic() - started < 3
    assert (tmp_path / "web.starts").read_text() == ".."


def test_a_program_waits_for_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "web.suspended").touch()
    waiting = threading.Thread(target=launch.wait_for_turn, args=(tmp_path, "web", "run/provisioned"), daemon=True)
    waiting.start()
    (tmp_path / "run" / "provisioned").touch()
    waiting.join(0.2)
    assert waiting.is_alive()
    (tmp_path / "run" / "web.suspended").unlink()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_program_that_ends_again_and_again_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    for folder in ("run", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "logs" / "web.log").write_text("MONGO_URL is not set\n")
    (tmp_path / "run" / "web.starts").write_text("...")
    readiness.check_starts(tmp_path, ["web"])
    (tmp_path / "run" / "web.starts").write_text(".....")
    with pytest.raises(StackError, match=r"web cannot start.(.|\n)*MONGO_URL is not set"):
        readiness.check_starts(tmp_path, ["web"])


def test_free_ports_are_not_the_well_known_ones() -> None:
    ports = spec.free_ports()
    assert ports.keys() == PORTS.keys()
    assert set(ports.values()).isdisjoint(PORTS.values())


def test_a_command_with_the_settings_of_a_program_is_not_taken_for_the_program(tmp_path: Path) -> None:
    variables = {"MONGO_URL": "mongodb://db/x", **processes.tags(tmp_path, "order-worker")}
    (tmp_path / "programs.json").write_text(json.dumps({"order-worker": {"environment": variables}}))
    assert Stack(tmp_path).environment("order-worker") == {"MONGO_URL": "mongodb://db/x"}
