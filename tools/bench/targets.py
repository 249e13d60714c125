"""The target of the load: the shop of a checkout, with its own servers. `reference_apps` has the other targets."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pymongo

from tools.bench.seed_data import seed
from tools.paths import ROOT
from tools.stack import mongodb, processes

SHOP, BESIDE, BASELINE, FLOOR = NAMES = ("shop", "beside", "baseline", "floor")
WORKERS, THREADS = os.environ.get("WEB_CONCURRENCY") or "2", os.environ.get("WEB_THREADS") or "8"
# The bench registers all customers at once, and their tokens must outlive the longest run.
USER_SERVICE = {"ACCESS_TOKEN_SECONDS": "86400", "SERVICE_TOKEN_SECONDS": "86400", "REGISTRATIONS_PER_MINUTE": "100000"}
UNPAID = {"PAYMENT_PROVIDER": "none"}  # nobody pays in a workload, and orders that wait for it would be cancelled
# Administrators' URLs of servers that the shop uses instead of its own.
EXTERNAL_SERVERS = {
    "mongo_url": os.environ.get("MONGO_URL", ""),
    "rabbitmq_url": os.environ.get("RABBITMQ_URL", ""),
    "management_url": os.environ.get("RABBITMQ_MANAGEMENT_URL", ""),
}
DATABASES = {"products": "product_service", "orders": "order_service", "notifications": "notification_service"}


@dataclass(frozen=True)
class Target:
    """A running system. The folder `state` marks its processes; `databases` has a database per collection."""

    name: str
    state: Path
    urls: Mapping[str, str]
    programs: Sequence[str]
    mongo_url: str
    rabbitmq_url: str
    databases: Mapping[str, str]
    is_shop: bool

    @cached_property
    def mongodb(self) -> pymongo.MongoClient[dict[str, Any]]:
        """Return an administrator's client of the database server."""
        return pymongo.MongoClient(self.mongo_url, tz_aware=True)

    def collection(self, name: str) -> Any:
        """Return `products`, `orders` or `notifications`."""
        return self.mongodb[self.databases[name]][name]

    def pids(self, *programs: str) -> list[int]:
        """Return the pids of the named programs, or of all programs of the target."""
        return [process.pid for name in programs or self.programs for process in processes.find(self.state, name)]


def fastest_mongodb() -> str:
    """Return the name of the fastest MongoDB server program on this machine."""
    return next(name for name in (mongodb.MONGOD, mongodb.FAST_STAND_IN, mongodb.STAND_IN) if mongodb.find(name))


@contextmanager
def run_shop(name: str, state: Path, database: str, checkout: Path, settings: Mapping[str, str]) -> Iterator[Target]:
    """Run the shop of a checkout, with customers and products, until the end of the block."""
    if checkout != ROOT:
        subprocess.run(["./dev", "--help"], cwd=checkout, stdout=subprocess.DEVNULL, check=True)  # makes its .venv
    stack = {"settings": {"WEB_THREADS": THREADS, **UNPAID, **settings}, "extra": {"user-service": USER_SERVICE}}
    options = json.dumps({"workers": int(WORKERS), "mongodb": database, **stack, **EXTERNAL_SERVERS})
    python, script = str(checkout / ".venv" / "bin" / "python"), str(ROOT / "tools" / "bench" / "run_shop.py")
    with subprocess.Popen(
        [python, "-P", script, str(state), options],
        cwd=checkout,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C does not reach it: it ends when its input does
    ) as process:
        try:
            if not (description := next(iter(process.stdout or ()), "")):
                raise SystemExit(f"The shop of {checkout} cannot start.")
            shop = Target(name, state, **json.loads(description), databases=DATABASES, is_shop=True)
            seed(shop.urls, state)
            yield shop
        finally:
            process.communicate()  # closes its input
