"""The programs that run beside the shop, on the same database and broker: the naive baseline and the floor."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools import ports, processes, programs, readiness
from tools.paths import ROOT
from tools.readiness import StackError

SECONDS_TO_START = 30.0


@dataclass(frozen=True)
class Ground:
    """What the rivals share with the shop: its servers (administrators' URLs), keys and settings of gunicorn."""

    state: Path
    mongo_url: str
    rabbitmq_url: str
    public_key: str
    service_token: str
    workers: int
    threads: int


def database_of(rival: str) -> str:
    """Return the name of a rival's own database."""
    return "bench_" + rival.replace("-", "_")


def database_url(administrator: str, rival: str) -> str:
    """Return the URL of a rival's own database. Its writes are as durable as the shop's."""
    url = urlsplit(administrator)
    options = [part for part in url.query.split("&") if not part.startswith("authSource=")]
    query = "&".join([*options, "authSource=admin", "w=majority", "journal=true"])
    return url._replace(path=f"/{database_of(rival)}", query=query).geturl()


def start_baseline(ground: Ground, name: str, *, keep_connections: bool) -> dict[str, str]:
    """Start the naive services and their consumer; return their URLs by the name of the shop's service."""
    products, orders = ports.free_ports(2)
    more = {"PRODUCT_SERVICE_URL": f"http://127.0.0.1:{products}"}
    more |= {"KEEP_CONNECTIONS": "yes"} if keep_connections else {}
    _web(ground, name, "products", "bench.baseline.products:create_app()", products, {})
    _web(ground, name, "orders", "bench.baseline.orders:create_app()", orders, more)
    _start(ground, name, "consumer", [sys.executable, "-m", "bench.baseline.consumer"], {})
    return {"product-service": f"http://127.0.0.1:{products}", "order-service": f"http://127.0.0.1:{orders}"}


def start_floor(ground: Ground, name: str, *, app: str = "create_app") -> dict[str, str]:
    """Start the floor's services and consumer; return their URLs by the name of the shop's service.

    With `create_hop` they are two empty hops.
    """
    back, front = ports.free_ports(2)
    _web(ground, name, "products", f"bench.floor.back:{app}()", back, {})
    _web(ground, name, "orders", f"bench.floor.front:{app}()", front, {"BACK_URL": f"http://127.0.0.1:{back}"})
    if app == "create_app":
        _start(ground, name, "consumer", [sys.executable, "-m", "bench.floor.consumer"], {})
    return {"product-service": f"http://127.0.0.1:{back}", "order-service": f"http://127.0.0.1:{front}"}


def _web(ground: Ground, rival: str, part: str, app: str, port: int, more: Mapping[str, str]) -> None:
    gunicorn = [sys.executable, str(Path(sys.executable).parent / "gunicorn")]
    options = ["--config", str(ROOT / "deploy" / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}"]
    _start(ground, rival, part, [*gunicorn, *options, app], more)
    deadline = time.monotonic() + SECONDS_TO_START
    while ports.is_free(port):
        if time.monotonic() > deadline:
            raise StackError(readiness.last_lines(ground.state, f"{rival}-{part}"))
        time.sleep(0.1)


def _start(ground: Ground, rival: str, part: str, command: list[str], more: Mapping[str, str]) -> None:
    name = f"{rival}-{part}"
    variables = {
        **programs.inherited(),
        **programs.MEMORY,
        **processes.marks(ground.state, name),
        "MONGO_URL": database_url(ground.mongo_url, rival),
        "QUEUE": f"bench.{rival}",
        "RABBITMQ_URL": ground.rabbitmq_url,
        "JWT_PUBLIC_KEY": ground.public_key,
        "SERVICE_TOKEN": ground.service_token,
        "WEB_CONCURRENCY": str(ground.workers),
        "WEB_THREADS": str(ground.threads),
        **more,
    }
    with (ground.state / "logs" / f"{name}.log").open("wb") as log:
        subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def settings() -> tuple[int, int]:
    """Return how many processes and threads each web service gets, the shop's and the rivals' alike."""
    return int(os.environ.get("WEB_CONCURRENCY", "2")), int(os.environ.get("WEB_THREADS", "8"))
