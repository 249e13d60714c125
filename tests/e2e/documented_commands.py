"""`./dev` and `docker compose` as a document writes them, on a stack of a test: `python -m ... dev|docker ARGUMENTS`.

Containers are the programs of the stack: `stop` suspends them, `up` resumes them, `run` and `exec` run a command with
the variables of one. `SHOP_STATE` is the state directory, `SHOP_PORTS` has the ports, as JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.waiting import until
from tools import paths, services

FLAGS, VALUES = ("--rm", "-T", "--no-deps", "-d", "--wait"), ("--user", "--volume")
OTHERS = {"gateway", "mongodb", "rabbitmq"}  # which the commands name, but need not stop or start here


def main() -> int:
    """Run one command and return its exit code."""
    paths.STATE = Path(os.environ["SHOP_STATE"])
    services.PORTS = json.loads(os.environ["SHOP_PORTS"])
    program, *arguments = sys.argv[1:]
    if program == "docker":
        assert arguments.pop(0) == "compose"
        return compose(arguments)
    from tools import cli

    return cli.main(arguments)


def compose(arguments: Sequence[str]) -> int:
    """Do what `docker compose` would do. An option that docs/backup.md does not use is an error."""
    command, *words = arguments
    values = dict.fromkeys(VALUES, "")
    while words and words[0].startswith("-"):
        option = words.pop(0)
        assert option in FLAGS or option in VALUES, option
        if option in VALUES:
            values[option] = words.pop(0)
    if command in ("run", "exec"):
        return run(words[0], words[1:] or ["python", "-m", "deploy.provision"], values["--volume"])
    assert set(words) <= {*names(), *OTHERS}, words
    {"stop": stop, "up": start}[command](set(words or names()) & set(names()))
    return 0


def names() -> list[str]:
    return [*(service.name for service in services.SERVICES), *services.BACKGROUND]


def run(program: str, command: Sequence[str], volume: str) -> int:
    """Run a command with the variables of a program; the directory of the volume is where it is on the host."""
    host, _, inside = volume.removesuffix(":ro").rpartition(":")
    translated = [host if word == inside else word for word in command]
    translated[0] = {"python": sys.executable}[translated[0]]
    return subprocess.run(translated, cwd=paths.ROOT, env=variables(program), check=False).returncode


def variables(program: str) -> dict[str, str]:
    from tools.stack.stack import Stack

    stack = Stack(paths.STATE, services.PORTS)
    if program != "provisioning":
        return stack.environment(program)
    management = f"http://127.0.0.1:{services.PORTS['rabbitmq-management']}"
    accounts = {"ENVIRONMENT": "development", "RABBITMQ_MANAGEMENT_URL": management}
    for name in names():
        for server in ("MONGO_URL", "RABBITMQ_URL"):
            if server in (own := stack.environment(name)):
                package = next(s.package for s in services.SERVICES if name in (s.name, *s.background))
                accounts[f"{package.upper()}_{server}"] = own[server]
    return {"PATH": os.environ["PATH"], **accounts, **stack.administrators()}


def stop(programs: Iterable[str]) -> None:
    from tools.stack.stack import Stack

    stack = Stack(paths.STATE, services.PORTS)
    for name in programs:
        stack.suspend(name)
    until(lambda: not any(stack.processes(name)[1:] for name in programs), "they have stopped")


def start(programs: Iterable[str]) -> None:
    from tools.stack.stack import Stack

    stack = Stack(paths.STATE, services.PORTS)
    for name in programs:
        stack.resume(name)
    stack.wait_until_ready(held=set(names()) - set(programs))


if __name__ == "__main__":
    sys.exit(main())
