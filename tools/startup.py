"""Starting a stack: write what its programs read, start supervisord, prepare the servers."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tools import keeper, ports, processes, programs, readiness, secret_store, supervision
from tools.blueprint import Blueprint
from tools.paths import ROOT
from tools.programs import Program
from tools.readiness import StackError

Check = Callable[[Iterable[str]], None]  # raises StackError if one of these programs cannot start


def require_free(numbers: Mapping[str, int]) -> None:
    """Raise StackError naming every port that is in use, and by whom."""
    taken = [name for name, port in numbers.items() if not ports.is_free(port)]
    if taken:
        lines = (f"{name}: port {numbers[name]} is in use by {ports.holder(numbers[name])}" for name in taken)
        raise StackError("\n".join(lines))


def launch(state: Path, plan: Blueprint, *, owned: bool) -> subprocess.Popen[bytes]:
    """Start supervisord, and with it the servers; the services wait until `prepare` is done."""
    for leftover in (state / "run").iterdir():
        leftover.unlink()
    plan.write_configuration()
    secret_store.write_private(state / "admin.env", plan.administrators())
    _write_programs(state, plan, owned)
    return supervision.start(state)


def _write_programs(state: Path, plan: Blueprint, owned: bool) -> None:
    servers, services = plan.server_programs(), plan.service_programs()
    watch, root = _own_programs(owned)
    table = {program.name: _entry(state, program) for program in (root, watch, *servers, *services)}
    secret_store.write_private(state / "programs.json", json.dumps(table, indent=2))
    groups = {"servers": servers, "services": services, "watch": [watch]}
    supervision.write_configuration(state, {name: [p.name for p in group] for name, group in groups.items()})


def _own_programs(owned: bool) -> tuple[Program, Program]:
    owner = {keeper.OWNER: processes.identity(os.getpid())} if owned else {}
    supervisord = (sys.executable, "-m", "supervisor.supervisord", "-c", supervision.CONFIGURATION)
    return (
        Program(supervision.KEEPER, (sys.executable, "-m", "tools.keeper"), owner),
        Program(supervision.SUPERVISORD, supervisord, {supervision.PYTHON: sys.executable}),
    )


def _entry(state: Path, program: Program) -> dict[str, object]:
    marks = processes.marks(state, program.name)
    return {**dataclasses.asdict(program), "environment": {**programs.inherited(), **program.environment, **marks}}


def prepare(state: Path, plan: Blueprint, mongodb_password: str, check: Check) -> None:
    """Make the administrator of a new MongoDB while RabbitMQ starts, then provision both."""
    if plan.mongodb and not plan.mongodb.prepared.exists():
        secret = {"MONGO_PASSWORD": mongodb_password}
        _run(state, "mongodb-preparation", ("tools.first_start", *plan.mongodb.address), secret, check)
    _run(state, "provisioning", ("deploy.provision",), plan.provisioning_environment(), check)
    (state / programs.PROVISIONED).touch()


def _run(state: Path, name: str, module: Sequence[str], environment: Mapping[str, str], check: Check) -> None:
    """Run one step to its end, unless a server that it needs cannot start."""
    marked = {**programs.inherited(), **environment, **processes.marks(state, name)}
    with (state / "logs" / f"{name}.log").open("wb") as log:
        step = subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=marked, stdout=log, stderr=log)
    try:
        while step.poll() is None:
            check(("mongodb", "rabbitmq"))
            time.sleep(0.05)
    finally:
        step.kill()
        step.wait()
    if step.returncode:
        raise StackError(f"{name} has failed.\n{readiness.last_lines(state, name)}")
