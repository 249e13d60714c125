"""The workloads, and driving one URL with wrk.

To add a workload, write its Lua script under `bench/workloads` and name it in `WORKLOADS`.
"""

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import apt
from tools.paths import ROOT

SHOP, BESIDE, BASELINE, KEPT, FLOOR = "shop", "beside", "baseline", "baseline-kept", "floor"
SCRIPTS = ROOT / "bench" / "workloads"
RESULT = "RESULT "


@dataclass(frozen=True)
class Workload:
    """A kind of request to one service, the numbers of clients at a time, and what the shop is compared with."""

    name: str
    service: str
    clients: tuple[int, ...]
    rivals: tuple[str, ...] = ()
    places_orders: bool = False
    at_half_load: bool = False


_ALL = (
    Workload("orders-spread", "order-service", (8, 32), (BASELINE,), places_orders=True),
    Workload("orders-three-lines", "order-service", (8, 32), (BASELINE,), places_orders=True),
    Workload("orders-hot", "order-service", (128,), (BASELINE,), places_orders=True),
    Workload("lag", "order-service", (32,), places_orders=True, at_half_load=True),
    Workload("product", "product-service", (8, 32), (FLOOR,)),
    Workload("products", "product-service", (8,)),
    Workload("own-orders", "order-service", (8,)),
    Workload("sign-in", "user-service", (8,)),
)
WORKLOADS = {workload.name: workload for workload in _ALL}


def drive(workload: str, url: str, data: Path, *, clients: int, seconds: int, pause: float = 0.0) -> dict[str, Any]:
    """Let so many clients send requests, each waiting `pause` ms on average before its next one.

    Return requests per second that were answered well, latencies in ms, and how many were `refused` (4xx or 5xx) or
    `broken` (not answered).
    """
    variables = {
        **os.environ,
        "BENCH_WORKLOADS": str(SCRIPTS),
        "BENCH_DATA": str(data),
        "BENCH_RUN": uuid.uuid4().hex,
        "BENCH_PAUSE": str(pause),
    }
    size = (f"-t{min(clients, 2)}", f"-c{clients}", f"-d{seconds}s", "--timeout", "15s")
    command = [str(apt.wrk()), *size, "-s", str(SCRIPTS / f"{workload}.lua"), url]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=ROOT)
    found = [line for line in ended.stdout.splitlines() if line.startswith(RESULT)]
    if not found:
        raise SystemExit(f"wrk has failed.\n{ended.stdout}{ended.stderr}")
    told = json.loads(found[0].removeprefix(RESULT))
    answered = told["requests"] - told["refused"]
    return {
        "requests": answered,
        "throughput": answered / told["microseconds"] * 1e6,
        **{name: told[name] for name in ("p50", "p99", "refused", "broken")},
    }
