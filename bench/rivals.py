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
from tools import ports, processes, programs, readiness
from tools.paths import ROOT
from tools.readiness import StackError

SECONDS_TO_START = 30.0
PACKAGES = {BASELINE: "bench.baseline", KEPT: "bench.baseline", FLOOR: "bench.floor"}
STOCKED = {"stock": {"$gte": PLENTY // 2}}  # the shop's demo products are left out


def start(name: str, shop: Target) -> Target:
    """Start a rival's two services and its consumer, with the shop's products, tokens and settings of gunicorn.

    They end with the shop. Raises StackError.
    """
    products, orders = ports.free_ports(2)
    urls = {"product-service": f"http://127.0.0.1:{products}", "order-service": f"http://127.0.0.1:{orders}"}
    database = "bench_" + name.replace("-", "_")
    parts = tuple(f"{name}-{part}" for part in ("products", "orders", "consumer"))
    stored = dict.fromkeys(("products", "orders", "notifications"), database)
    rival = Target(name, shop.stack, urls, parts, stored)
    fields = None if name == FLOOR else ["name", "price", "stock"]  # what the baseline looks at
    rival.collection("products").insert_many(list(shop.collection("products").find(STOCKED, fields)))
    environment = {**_environment(rival, database), "PRODUCT_SERVICE_URL": urls["product-service"]}
    _web(rival, "products", products, environment)
    _web(rival, "orders", orders, environment)
    _run(rival, "consumer", [sys.executable, "-m", f"{PACKAGES[name]}.consumer"], environment)
    return rival


def _environment(rival: Target, database: str) -> dict[str, str]:
    key, token = _credentials(rival)
    urls = rival.stack.administrators()
    return {
        **programs.inherited(),
        **programs.MEMORY,
        "MONGO_URL": database_url(urls["MONGO_URL"], database),
        "RABBITMQ_URL": urls["RABBITMQ_URL"],
        "QUEUE": f"bench.{rival.name}",
        "JWT_PUBLIC_KEY": key,
        "SERVICE_TOKEN": token,
        "WEB_CONCURRENCY": WORKERS,
        "WEB_THREADS": THREADS,
        **({"KEEP_CONNECTIONS": "yes"} if rival.name == KEPT else {}),
    }


def database_url(administrator: str, database: str) -> str:
    """Return the URL of a rival's own database. Its writes are as durable as the shop's."""
    url = urlsplit(administrator)
    options = [part for part in url.query.split("&") if not part.startswith("authSource=")]
    query = "&".join([*options, "authSource=admin", "w=majority", "journal=true"])
    return url._replace(path=f"/{database}", query=query).geturl()


def _credentials(rival: Target) -> tuple[str, str]:
    """Return user-service's public key as PEM, and a service token."""
    base = rival.stack.urls["user-service"]
    jwk = requests.get(f"{base}/.well-known/jwks.json", timeout=10).json()["keys"][0]
    pem = jwt.PyJWK(jwk, "RS256").key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    known = rival.stack.environment("order-service")
    client = (known["CLIENT_ID"], known["CLIENT_SECRET"])
    answer = requests.post(f"{base}/token", data={"grant_type": "client_credentials"}, auth=client, timeout=10)
    answer.raise_for_status()
    return pem, str(answer.json()["access_token"])


def _web(rival: Target, part: str, port: int, environment: Mapping[str, str]) -> None:
    gunicorn = [sys.executable, str(Path(sys.executable).parent / "gunicorn")]
    options = ["--config", str(ROOT / "deploy" / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}"]
    _run(rival, part, [*gunicorn, *options, f"{PACKAGES[rival.name]}.{part}:create_app()"], environment)
    deadline = time.monotonic() + SECONDS_TO_START
    while ports.is_free(port):
        if time.monotonic() > deadline:
            raise StackError(readiness.last_lines(rival.stack.state, f"{rival.name}-{part}"))
        time.sleep(0.1)


def _run(rival: Target, part: str, command: list[str], environment: Mapping[str, str]) -> None:
    state, name = rival.stack.state, f"{rival.name}-{part}"
    marked = {**environment, **processes.marks(state, name)}
    with (state / "logs" / f"{name}.log").open("wb") as log:
        subprocess.Popen(command, cwd=ROOT, env=marked, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
