"""A stack's own Prometheus: the jobs and rules of deploy/monitoring, with the addresses of this machine."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools import apt
from tools.paths import MONITORING
from tools.stack.readiness import StackError

KEPT = "2d"  # how long; a learner looks at what happened just now
# Relative to the server's folder, which may have a path that Prometheus takes for a pattern. `rules` is a link.
CONFIGURATION, RULES = "prometheus.yml", "rules/*.yml"


@dataclass(frozen=True)
class Observe:
    """How a stack is observed: with which rules, and how many seconds are between two scrapes, and two evaluations.

    Without an interval, those of prometheus.yml apply. With `traces`, a receiver keeps the latest spans.
    """

    rules: Path = MONITORING / "rules"
    interval: float | None = None
    traces: bool = True


@dataclass(frozen=True)
class PrometheusServer:
    """How to start the server and how to reach it. `home` has its data; `targets` has the address of each job."""

    home: Path
    port: int
    targets: Mapping[str, str]
    observe: Observe

    @property
    def url(self) -> str:
        """Return the URL of its page and its API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command that starts the server in its own folder."""
        start = ("/usr/bin/env", f"--chdir={self.home}", str(apt.prometheus()), f"--config.file={CONFIGURATION}")
        storage = ("--storage.tsdb.path=data", f"--storage.tsdb.retention.time={KEPT}")
        return (*start, *storage, f"--web.listen-address=127.0.0.1:{self.port}")

    def write_configuration(self) -> None:
        """Write the configuration, and check it together with the rules. Raises StackError with what is wrong."""
        self.home.mkdir(parents=True, exist_ok=True)
        rules = self.home / "rules"
        rules.unlink(missing_ok=True)
        rules.symlink_to(self.observe.rules.resolve())
        template = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        made = configuration(template, self.targets, self.observe.interval)
        (self.home / CONFIGURATION).write_text(yaml.safe_dump(made, sort_keys=False))
        command = [str(apt.promtool()), "check", "config", CONFIGURATION]
        check = subprocess.run(command, cwd=self.home, capture_output=True, text=True)
        if check.returncode:
            raise StackError(f"Prometheus cannot use its configuration.\n{check.stdout}{check.stderr}")


def configuration(
    template: Mapping[str, Any], targets: Mapping[str, str], interval: float | None = None
) -> dict[str, Any]:
    """Return a configuration for this machine: the jobs that run here, the rules, and no Alertmanager."""
    jobs = [_local(job, targets[job["job_name"]]) for job in template["scrape_configs"] if job["job_name"] in targets]
    intervals = {}
    if interval:
        names = ("scrape_interval", "scrape_timeout", "evaluation_interval")
        intervals = dict.fromkeys(names, f"{round(interval * 1000)}ms")
        jobs = [{key: value for key, value in job.items() if key not in intervals} for job in jobs]
    return {"global": {**template.get("global", {}), **intervals}, "rule_files": [RULES], "scrape_configs": jobs}


def _local(job: Mapping[str, Any], address: str) -> dict[str, Any]:
    """Return a job with a single target; the labels of its static targets stay."""
    labels: list[dict[str, str]] = [target["labels"] for target in job.get("static_configs", []) if "labels" in target]
    kept = {key: value for key, value in job.items() if not key.endswith(("_sd_configs", "static_configs"))}
    return {**kept, "static_configs": [{"targets": [address], **({"labels": labels[0]} if labels else {})}]}
