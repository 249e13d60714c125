"""The steps of ./dev restore: replace the data, recover what it does not hold, start the shop, audit it.

From the first change to the end of the recovery a mark keeps ./dev up from starting the shop.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from deploy import restore
from deploy.archive.verification import Backup
from tools.audit import command as audit
from tools.audit import snapshot
from tools.audit.invariants import Check
from tools.backup import recovery
from tools.services import BACKGROUND, SERVICES
from tools.stack.stack import Stack
from tools.stack.startup import RESTORE_MARK, Preparation

ALL = (*(service.name for service in SERVICES), *BACKGROUND)
ASKED = ("user-service", "product-service")  # by order-service's recovery; no other service may run meanwhile
SECONDS_WITHOUT_PROGRESS = 75.0  # longer than the lease of a notification and than the pause between two repairs
PAUSE = 2.0


class Restoration:
    """One restore of a verified backup to a stack."""

    def __init__(self, stack: Stack, backup: Backup, *, record_only: bool) -> None:
        self._stack = stack
        self._backup = backup
        self._record_only = record_only
        self._mark = stack.state / RESTORE_MARK
        self._what = f"{backup.directory.resolve()}\n{' '.join(backup.databases)}\n"
        self._folder = stack.state / "restores" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

    def replace_data(self, *, force: bool) -> None:
        """Stop the shop, start its servers, and replace the data. Afterwards no service runs.

        Raises BackupError, before anything is stopped, if there is data and not `force`.
        """
        is_repeated = self._mark.exists() and self._mark.read_text() == self._what
        if not (force or is_repeated) and self._stack.is_running():
            restore.require_empty(self._url, self._backup)
        print("Stopping the shop, and starting MongoDB and RabbitMQ ...", flush=True)
        self._stack.restart(Preparation(lambda: self._replace(force=force or is_repeated), ALL))

    def _replace(self, *, force: bool) -> None:
        if not force:
            restore.require_empty(self._url, self._backup)
        print(f"Restoring {', '.join(self._backup.databases)} from {self._backup.directory} ...", flush=True)
        self._mark.write_text(self._what)
        restore.restore(self._url, self._backup, force=True)

    @property
    def _url(self) -> str:
        return self._stack.administrators()["MONGO_URL"]

    def recover(self) -> None:
        """Make tokens void, empty the queues, reconcile, and start the shop. Stops everything if a step fails."""
        try:
            self._folder.mkdir(mode=0o700, parents=True)
            print("Recovering ...", flush=True)
            print(recovery.end_tokens(self._stack), end="", flush=True)
            print(recovery.empty_queues(self._stack, self._folder / "dead-letters.jsonl"), flush=True)
            self._start(ASKED)
            print(recovery.reconcile(self._stack, self._folder / "decisions.jsonl", record_only=self._record_only))
            self._mark.unlink()
            self._start(ALL)
        except BaseException:
            if not self._mark.exists():  # the recovery is complete, and its decisions would not be shown any more
                print(recovery.matters(self._folder), flush=True)
            self._stack.down()
            raise

    def _start(self, names: Iterable[str]) -> None:
        for name in names:
            self._stack.resume(name)
        self._stack.wait_until_ready(held=set(ALL) - set(names))

    def audit(self) -> bool:
        """Wait until the shop is at rest, print the audit and what a person must decide; return whether all is well.

        A shop without orders has nothing to compare, which is no fault of a restore.
        """
        print("Waiting until the shop is at rest ...", flush=True)
        checks = wait_for_rest(lambda: audit.check_once(snapshot.reader(self._stack), grace=0))
        print(audit.report(checks))
        print(recovery.matters(self._folder))
        return not violations(checks)


def wait_for_rest(check: Callable[[], list[Check]], patience: float = SECONDS_WITHOUT_PROGRESS) -> list[Check]:
    """Repeat the audit until nothing is violated, or until the violations get no fewer; return the last checks."""
    fewest, since = None, time.monotonic()
    while violations(checks := check()):
        number = violations(checks)
        if fewest is None or number < fewest:
            fewest, since = number, time.monotonic()
        if time.monotonic() > since + patience:
            break
        time.sleep(PAUSE)
    return checks


def violations(checks: Iterable[Check]) -> int:
    """Return how many violations an audit has found."""
    return sum(len(check.violations) for check in checks)
