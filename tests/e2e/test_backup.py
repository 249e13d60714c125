"""The drill: a backup of a shop at work, restored to an empty one, breaks no promise."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import backup
from deploy.archive import verification
from deploy.archive.manifest import BackupError, Manifest
from deploy.archive.verification import Backup
from tests.e2e.clients import Client
from tests.e2e.shop import Shop, own_stack
from tests.waiting import until
from tools.audit import snapshot
from tools.backup.restoration import Restoration
from tools.chaos.client_log import ClientLog
from tools.chaos.customers import Customer
from tools.client import ShopClient
from tools.paths import ROOT
from tools.stack.readiness import StackError
from tools.stack.spec import Options
from tools.stack.stack import Stack
from tools.stack.startup import RESTORE_MARK

CUSTOMERS = 4
ORDERS = 40  # before the backup begins


@dataclass(frozen=True)
class Drill:
    """A backup of a shop at work, what was known before it, and the empty stack that it was restored to."""

    manifest: Manifest
    verified: Backup
    known: set[str]
    refresh_token: str
    email: str
    password: str
    restored: Stack
    passed: bool


@contextmanager
def customers_at_work(stack: Stack, products: list[str], log: ClientLog) -> Iterator[None]:
    """Let customers order, pay and cancel, as in a run of chaos, until the end of the block."""
    stop, customers = threading.Event(), list[Customer]()
    for number in range(CUSTOMERS):
        shop = ShopClient(stack.urls)
        shop.register(phone="+4930123456" if number % 2 else None)
        customers.append(Customer(shop, products, log, f"drill-{number}", stop))
    for customer in customers:
        customer.start()
    try:
        yield
    finally:
        stop.set()
        for customer in customers:
            customer.join()


@pytest.fixture(scope="module")
def products(shop: Shop) -> list[str]:
    """A product with plenty of units, and a scarce one."""
    with closing(Client(shop).login(shop.admin_email, shop.admin_password)) as admin:
        bodies = [{"name": "Moka Pot", "price": "34.90", "stock": stock} for stock in (1_000_000, 30)]
        return [str(admin.post("/products", body).json()["id"]) for body in bodies]


@pytest.fixture(scope="module")
def empty(mongodb_program: str) -> Iterator[Stack]:
    """Another stack, which has never run."""
    with own_stack(Options(mongodb=mongodb_program)) as stack:
        yield stack


@pytest.fixture(scope="module")
def drill(
    stack: Stack, shop: Shop, empty: Stack, products: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Drill:
    directory, log = tmp_path_factory.mktemp("backups") / "monday", ClientLog()
    with closing(Client(shop).register(name="Ada")) as ada, customers_at_work(stack, products, log):
        until(lambda: len(log.orders) >= ORDERS, "orders are placed", seconds=120)
        known = set(log.orders)
        manifest = backup.back_up(stack.administrators()["MONGO_URL"], directory)
        placed = len(log.orders)
        until(lambda: len(log.orders) > placed, "customers go on meanwhile")
    assert not log.failures
    verified = verification.verify(directory)
    restoration = Restoration(empty, verified, record_only=True)
    restoration.replace_data(force=False)
    restoration.recover()
    passed = restoration.audit()
    token = ada.tokens["refresh_token"]
    return Drill(manifest, verified, known, token, ada.email, ada.password, empty, passed)


def test_a_backup_of_a_shop_at_work_restored_to_an_empty_one_breaks_no_promise(drill: Drill) -> None:
    assert drill.manifest.consistency in ("snapshot", "transaction")
    assert drill.passed
    assert drill.known <= set(snapshot.take(snapshot.reader(drill.restored), 0).orders)


def test_people_sign_in_again_with_their_passwords_and_no_token_of_before(drill: Drill) -> None:
    with closing(Client(Shop.of(drill.restored))) as ada:
        assert ada.post("/refresh", {"refresh_token": drill.refresh_token}).status_code == 401
        ada.login(drill.email, drill.password)


def test_a_running_shop_with_data_is_neither_stopped_nor_changed_without_force(drill: Drill) -> None:
    before = drill.restored.pids("mongodb")
    with pytest.raises(BackupError, match="There is data in order_service"):
        Restoration(drill.restored, drill.verified, record_only=False).replace_data(force=False)
    assert drill.restored.pids("mongodb") == before
    assert drill.restored.unready() == []


def test_a_shop_whose_restore_has_not_finished_does_not_start_until_it_is_repeated(
    drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BackupError("product-service does not answer")

    restoration = Restoration(drill.restored, drill.verified, record_only=True)
    with monkeypatch.context() as patch:
        patch.setattr("tools.backup.recovery.reconcile", fail)
        restoration.replace_data(force=True)
        with pytest.raises(BackupError):
            restoration.recover()
    assert not drill.restored.is_running()
    with pytest.raises(StackError, match=f"The restore of {drill.verified.directory} has not finished"):
        drill.restored.up()
    again = Restoration(drill.restored, drill.verified, record_only=True)
    again.replace_data(force=False)
    again.recover()
    assert not (drill.restored.state / RESTORE_MARK).exists()
    assert again.audit()


def blocks() -> list[str]:
    """Return the commands of docs/backup.md, block by block."""
    return re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / "backup.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_command_of_the_document_works_as_written(drill: Drill, tmp_path: Path, mongodb_program: str) -> None:
    """Containers are programs of the stack here, see tests/e2e/documented_commands.py."""
    if mongodb_program:
        pytest.skip("the document names no server program")
    for name, folder in (("dev", tmp_path), ("docker", tmp_path / "bin")):
        folder.mkdir(exist_ok=True)
        python = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -P"
        (folder / name).write_text(f'#!/bin/sh\nexec env {python} -m tests.e2e.documented_commands {name} "$@"\n')
        (folder / name).chmod(0o755)
    place = {"SHOP_STATE": str(drill.restored.state), "SHOP_PORTS": json.dumps(drill.restored.ports)}
    environment = {**os.environ, **place, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    def run(block: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", block]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert len(blocks()) == 8
    for block in blocks():
        if block.startswith("./dev audit"):
            until(lambda block=block: run(block).returncode == 0, block)  # type: ignore[misc]
        else:
            done = run(block)
            assert done.returncode == 0, f"{block}{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert not drill.restored.is_running()
