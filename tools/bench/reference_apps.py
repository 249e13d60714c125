"""The other targets: the naive baseline and the floor. They run on the database and broker of the shop."""

import subprocess
import sys
from dataclasses import replace

import jwt
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tools.bench.targets import BASELINE, DATABASES, FLOOR, THREADS, WORKERS, Target
from tools.paths import ROOT
from tools.stack import ports, processes, programs

APPS = {
    BASELINE: {
        "product-service": "tools.bench.baseline.products:create_app()",
        "order-service": "tools.bench.baseline.orders:create_app()",
    },
    FLOOR: {"product-service": "tools.bench.baseline.floor:create_app()"},
}
UNTIL_LISTENING = Retry(total=100, backoff_factor=0.1, backoff_max=0.3)  # half a minute


def start(name: str, shop: Target) -> Target:
    """Start a reference app with a copy of the shop's products. It ends with the shop."""
    addresses = dict(zip(APPS[name], (f"127.0.0.1:{port}" for port in ports.free_ports(2)), strict=False))
    gunicorn = ["gunicorn", "--config", str(ROOT / "deploy" / "gunicorn.conf.py"), "--bind"]
    commands = {f"{name}-{app}": [*gunicorn, addresses[app], factory] for app, factory in APPS[name].items()}
    if name == BASELINE:
        commands["baseline-consumer"] = ["tools.bench.baseline.consumer"]
    urls = {service: f"http://{address}" for service, address in addresses.items()}
    databases = dict.fromkeys(DATABASES, f"bench_{name}")
    target = replace(shop, name=name, urls=urls, programs=list(commands), databases=databases, is_shop=False)
    fields = None if name == FLOOR else ["name", "price", "stock"]  # a naive product has no others
    target.collection("products").insert_many(list(shop.collection("products").find({}, fields)))
    environment = _environment(target, shop)
    for program, command in commands.items():
        variables = {**environment, **processes.tags(shop.state, program)}
        with (shop.state / "logs" / f"{program}.log").open("wb") as log:
            subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=variables, stdout=log, stderr=log)
    _wait_until_listening(target)
    return target


def _wait_until_listening(target: Target) -> None:
    with requests.Session() as http:
        http.mount("http://", HTTPAdapter(max_retries=UNTIL_LISTENING))
        for service, url in target.urls.items():
            try:
                http.get(url, timeout=10)
            except requests.ConnectionError as exc:
                log = target.state / "logs" / f"{target.name}-{service}.log"
                raise SystemExit(f"{target.name}-{service} does not listen. Its log:\n{log.read_text()}") from exc


def _environment(target: Target, shop: Target) -> dict[str, str]:
    jwk = requests.get(f"{shop.urls['user-service']}/.well-known/jwks.json", timeout=10).json()["keys"][0]
    key = jwt.PyJWK(jwk, "RS256").key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        **programs.inherited(),
        **programs.MALLOC_SETTINGS,
        "WEB_CONCURRENCY": WORKERS,
        "WEB_THREADS": THREADS,
        "MONGO_URL": shop.mongo_url,
        "DATABASE": f"bench_{target.name}",
        "RABBITMQ_URL": shop.rabbitmq_url,
        "QUEUE": "bench.orders",
        "PRODUCT_SERVICE_URL": target.urls["product-service"],
        "FLASK_JWT_ALGORITHM": "RS256",
        "FLASK_JWT_PUBLIC_KEY": key.decode(),
        "FLASK_JWT_DECODE_ISSUER": "user-service",
        "FLASK_JWT_DECODE_AUDIENCE": "shop",
    }
