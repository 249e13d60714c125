"""The workloads, and how wrk sends one.

To add a workload, write its Lua script under `tools/bench/workloads` and name it in `WORKLOADS`.
"""

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from typing import Any

from tools import apt
from tools.bench import seed_data
from tools.bench.targets import BASELINE, FLOOR, Target
from tools.paths import ROOT

SCRIPTS = ROOT / "tools" / "bench" / "workloads"
RESULT = "RESULT "  # starts the line that `done` in common.lua prints


@dataclass(frozen=True)
class Workload:
    """One kind of request to one service, the numbers of clients that send it, and the reference app for it."""

    name: str
    service: str
    clients: tuple[int, ...]
    reference: str = ""
    places_orders: bool = False
    at_half_load: bool = False


_ALL = (
    Workload("orders-spread", "order-service", (8, 32), BASELINE, places_orders=True),
    Workload("orders-three-lines", "order-service", (8, 32), BASELINE, places_orders=True),
    Workload("orders-hot", "order-service", (128,), BASELINE, places_orders=True),
    Workload("lag", "order-service", (32,), places_orders=True, at_half_load=True),
    Workload("product", "product-service", (8, 32), FLOOR),
    Workload("products", "product-service", (8,)),
    Workload("own-orders", "order-service", (8,)),
    Workload("sign-in", "user-service", (8,)),
)
WORKLOADS = {workload.name: workload for workload in _ALL}


def run(workload: Workload, target: Target, *, clients: int, seconds: int, pause: float) -> dict[str, Any]:
    """Send requests; each client waits `pause` ms on average before its next one. Latencies are in ms."""
    variables = {
        "BENCH_WORKLOADS": str(SCRIPTS),
        "BENCH_DATA": str(target.state / seed_data.FILE),
        "BENCH_RUN": uuid.uuid4().hex,
        "BENCH_PAUSE": str(pause),
    }
    options = [f"-t{min(clients, 2)}", f"-c{clients}", f"-d{seconds}s", "--timeout=15s"]
    script, url = SCRIPTS / f"{workload.name}.lua", target.urls[workload.service]
    command = [str(apt.wrk()), *options, "-s", str(script), url]
    output = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, cwd=ROOT)
    _, found, result = output.stdout.partition(RESULT)
    if not found:
        raise SystemExit(f"wrk printed no result.\n{output.stdout}{output.stderr}")
    return dict(json.loads(result))
