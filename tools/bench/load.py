"""Driving one URL with wrk."""

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from tools import packages
from tools.paths import ROOT

WORKLOADS = ROOT / "bench" / "workloads"
RESULT = "RESULT "


@dataclass(frozen=True)
class Load:
    """What a run of wrk gave; latencies are in milliseconds. `refused` were answered 4xx or 5xx, `broken` not."""

    requests: int
    microseconds: int
    p50: float
    p95: float
    p99: float
    longest: float
    refused: int
    broken: int

    @property
    def throughput(self) -> float:
        """Return the successful requests per second."""
        return (self.requests - self.refused) / self.microseconds * 1e6


def drive(workload: str, url: str, data: Path, *, clients: int, seconds: float, pause: float = 0.0) -> Load:
    """Let so many clients send requests; each waits `pause` ms on average before its next one."""
    variables = {
        **os.environ,
        "BENCH_WORKLOADS": str(WORKLOADS),
        "BENCH_DATA": str(data),
        "BENCH_RUN": uuid.uuid4().hex,
        "BENCH_PAUSE": str(pause),
    }
    size = (f"-t{min(clients, 2)}", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "15s")
    command = [str(packages.wrk()), *size, "-s", str(WORKLOADS / f"{workload}.lua"), url]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=ROOT)
    found = [line for line in ended.stdout.splitlines() if line.startswith(RESULT)]
    if not found:
        raise SystemExit(f"wrk has failed.\n{ended.stdout}{ended.stderr}")
    return Load(**json.loads(found[0].removeprefix(RESULT)))
