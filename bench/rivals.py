"""Starting what runs beside a shop on its database and broker: the naive baseline and the floor."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.load import BASELINE, FLOOR, KEPT
from bench.shops import PLENTY, THREADS, WORKERS, Target
from tools.paths import ROOT
from tools.stack import ports, processes, programs, readiness
from tools.stack.readiness import StackError

SECONDS_TO_START = 30.0
BASELINE_APPS = {
    "product-service": "bench.baseline.products:create_app()",
    "order-service": "bench.baseline.orders:create_app()",
}
APPS = {BASELINE: BASELINE_APPS, KEPT: BASELINE_APPS, FLOOR: {"product-service": "bench.floor:create_app()"}}
STOCKED = {"stock": {"$gte": PLENTY // 2}}  # the shop's demo products are left out
CONSUMER = "consumer"


def start(name: str, shop: Target) -> Target:
    """Start a rival's services and its consumer, with the shop's products, tokens and settings of gunicorn.

    They end with the shop. Raises StackError.
    """
    apps, database = APPS[name], "bench_" + name.replace("-", "_")
    numbers = dict(zip(apps, ports.free_ports(len(apps)), strict=True))
    urls = {service: f"http://127.0.0.1:{port}" for service, port in numbers.items()}
    parts = tuple(f"{name}-{part}" for part in (*apps, CONSUMER))
    rival = Target(name, shop.stack, urls, parts, dict.fromkeys(shop.databases, database))
    fields = None if name == FLOOR else ["name", "price", "stock"]  # what the baseline looks at
    rival.collection("products").insert_many(list(shop.collection("products").find(STOCKED, fields)))
    servers = shop.stack.administrators()
    environment = {
        **programs.inherited(),
        **programs.MALLOC_SETTINGS,
        "MONGO_URL": database_url(servers["MONGO_URL"], database),
        "RABBITMQ_URL": servers["RABBITMQ_URL"],
        "QUEUE": f"bench.{name}",
        "JWT_PUBLIC_KEY": _public_key(shop.urls["user-service"]),
        "PRODUCT_SERVICE_URL": urls["product-service"],
        "WEB_CONCURRENCY": WORKERS,
        "WEB_THREADS": THREADS,
        **({"KEEP_CONNECTIONS": "yes"} if name == KEPT else {}),
    }
    for service, app in apps.items():
        _web(rival, service, app, numbers[service], environment)
    if apps is BASELINE_APPS:
        _run(rival, CONSUMER, [sys.executable, "-m", "bench.baseline.consumer"], environment)
    return rival


def database_url(administrator: str, database: str) -> str:
    """Return the URL of a rival's own database. Its writes are as durable as the shop's."""
    url = urlsplit(administrator)
    options = [part for part in url.query.split("&") if not part.startswith("authSource=")]
    query = "&".join([*options, "authSource=admin", "w=majority", "journal=true"])
    return url._replace(path=f"/{database}", query=query).geturl()


def _public_key(user_service: str) -> str:
    jwk = requests.get(f"{user_service}/.well-known/jwks.json", timeout=10).json()["keys"][0]
    return str(jwt.PyJWK(jwk, "RS256").key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "ascii")


def _web(rival: Target, part: str, app: str, port: int, environment: Mapping[str, str]) -> None:
    gunicorn = [sys.executable, str(Path(sys.executable).parent / "gunicorn")]
    options = ["--config", str(ROOT / "deploy" / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}"]
    _run(rival, part, [*gunicorn, *options, app], environment)
    deadline = time.monotonic() + SECONDS_TO_START
    while ports.is_free(port):
        if time.monotonic() > deadline:
            raise StackError(readiness.last_lines(rival.stack.state, f"{rival.name}-{part}"))
        time.sleep(0.1)


def _run(rival: Target, part: str, command: list[str], environment: Mapping[str, str]) -> None:
    state, name = rival.stack.state, f"{rival.name}-{part}"
    marked = {**environment, **processes.tags(state, name)}
    with (state / "logs" / f"{name}.log").open("wb") as log:
        subprocess.Popen(command, cwd=ROOT, env=marked, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
