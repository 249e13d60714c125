"""Start a stack: write the files that its programs read, start supervisord, prepare the servers."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pymongo.errors import PyMongoError

from tools.paths import ROOT
from tools.stack import bootstrap_mongodb, dev_secrets, ports, processes, programs, readiness, supervision
from tools.stack.mongodb import MongoServer
from tools.stack.programs import Program
from tools.stack.readiness import StackError
from tools.stack.spec import StackSpec

RESTORE_MARK = "data/restore-unfinished"  # removed together with the data
UNFINISHED_RESTORE = """\
The restore of {} has not finished, so the data is incomplete or not reconciled. No part of the shop may use it.
Unless that restore is still running, run it again: ./dev restore DIR"""
CheckStarts = Callable[[Iterable[str]], None]  # raises StackError if one of these programs cannot start


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What a start does before the servers are provisioned, and the programs that it keeps from starting."""

    run: Callable[[], None]
    held: Collection[str]


NOTHING = Preparation(lambda: None, ())


def require_restored(state: Path) -> None:
    """Raise StackError if a restore has not finished."""
    mark = state / RESTORE_MARK
    if mark.exists():
        raise StackError(UNFINISHED_RESTORE.format(mark.read_text().splitlines()[0]))


def require_free(numbers: Mapping[str, int]) -> None:
    """Raise StackError naming every port that is in use, and the process that uses it."""
    used = [name for name, port in numbers.items() if not ports.is_free(port)]
    if used:
        lines = (f"{name}: port {numbers[name]} is in use by {ports.port_owner(numbers[name])}" for name in used)
        raise StackError("\n".join(lines))


def start_programs(
    state: Path, spec: StackSpec, held: Collection[str], *, stop_with_parent: bool
) -> subprocess.Popen[bytes]:
    """Start supervisord, which starts the servers at once. The services wait until `prepare` is done.

    Those in `held` wait until they are resumed.
    """
    for leftover in (state / "run").iterdir():
        leftover.unlink()
    for name in held:
        processes.suspension(state, name).touch()
    spec.write_configuration()
    dev_secrets.write_private(state / "admin.env", spec.administrators())
    groups = {
        "servers": spec.server_programs(),
        "observers": spec.observer_programs(),
        "services": spec.service_programs(),
        "storefront": [spec.storefront_program()],
    }
    table = {program.name: _entry(state, program) for group in groups.values() for program in group}
    dev_secrets.write_private(state / "programs.json", json.dumps(table, indent=2))
    supervision.write_configuration(state, {name: [p.name for p in group] for name, group in groups.items()})
    return supervision.start(state, stop_with_parent=stop_with_parent)


def _entry(state: Path, program: Program) -> dict[str, object]:
    tags = processes.tags(state, program.name)
    return {**dataclasses.asdict(program), "environment": {**programs.inherited(), **program.environment, **tags}}


def prepare(
    state: Path,
    spec: StackSpec,
    mongodb_password: str,
    check_starts: CheckStarts,
    preparation: Preparation = NOTHING,
) -> None:
    """Create the administrator of a new MongoDB while RabbitMQ starts, run the preparation, then provision both."""
    if spec.mongodb and not spec.mongodb.prepared.exists():
        _bootstrap(state, spec.mongodb, mongodb_password)
    preparation.run()
    _provision(state, spec.provisioning_environment(), check_starts)
    (state / programs.PROVISIONED).touch()


def _bootstrap(state: Path, server: MongoServer, password: str) -> None:
    name = "mongodb-preparation"
    with (state / "logs" / f"{name}.log").open("wb") as log:
        try:
            environment = {**programs.inherited(), **processes.tags(state, name)}
            bootstrap_mongodb.bootstrap(server, password, environment, log)
        except (SystemExit, PyMongoError, OSError) as exc:
            raise StackError(f"{exc}\n{readiness.last_lines(state, name)}") from exc


def _provision(state: Path, variables: Mapping[str, str], check_starts: CheckStarts) -> None:
    """Run the provisioning. Raises StackError if it fails, or if a server cannot start."""
    name = "provisioning"
    command = [sys.executable, "-m", "deploy.provision"]
    environment = {**programs.inherited(), **variables, **processes.tags(state, name)}
    with (state / "logs" / f"{name}.log").open("wb") as log:
        provisioning = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        while provisioning.poll() is None:
            check_starts(("mongodb", "rabbitmq"))
            time.sleep(0.05)
    finally:
        provisioning.kill()
        provisioning.wait()
    if provisioning.returncode:
        raise StackError(f"{name} has failed.\n{readiness.last_lines(state, name)}")
