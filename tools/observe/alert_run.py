"""./dev chaos --observe: break one thing after the other, and compare the alerts with those that it must raise."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.observe import short_rules
from tools.observe.faults import FAULTS, HEALTHY, Fault, Scene
from tools.observe.mail_server import mail_server
from tools.observe.queries import Alert, Prometheus
from tools.observe.traffic import traffic
from tools.paths import MONITORING
from tools.stack.prometheus import Observe
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack

SECONDS_HEALTHY = 8.0
SECONDS_TO_FIRE = SECONDS_TO_END = 60.0
INTERVAL = 1.0  # s between two scrapes, and between two evaluations of the rules
SETTINGS = {"REGISTRATIONS_PER_MINUTE": "100000", "LOG_LEVEL": "WARNING"}


@dataclass
class Outcome:
    """The alerts of one fault: those that fired while it lasted, those that fired only afterwards, and how long."""

    fault: Fault
    during: set[str] = field(default_factory=set)
    afterwards: set[str] = field(default_factory=set)
    seconds_to_fire: float = 0.0
    seconds_to_end: float = 0.0
    not_ended: set[str] = field(default_factory=set)

    def failures(self) -> Iterator[str]:
        """Yield what differs from the table."""
        for alert in sorted(self.fault.raises - self.during):
            yield f"{self.fault.name}: {alert} did not fire"
        for alert in sorted((self.during | self.afterwards) - self.fault.raises - self.fault.may_raise):
            yield f"{self.fault.name}: {alert} fired, which is not in the table"
        for alert in sorted(self.not_ended):
            yield f"{self.fault.name}: {alert} did not end"


def main(server: str) -> int:
    """Run every fault of the table on a fresh stack; return 0 if exactly the expected alerts fired, and ended."""
    with observed_stack(server) as (scene, prometheus), traffic(scene.stack):
        wait_until_scraped(prometheus)
        outcomes = []
        print(f"{'fault':<40}{'fired after':>12}{'ended after':>12}  alerts", flush=True)
        for fault in (HEALTHY, *FAULTS):
            outcomes.append(run(fault, scene, prometheus))
            print(line(outcomes[-1]), flush=True)
    failures = [failure for outcome in outcomes for failure in outcome.failures()]
    for failure in failures:
        print(f"FAILURE: {failure}")
    print("This run has failed." if failures else "Every fault raised its alerts, and nothing else.")
    return 1 if failures else 0


@contextmanager
def observed_stack(server: str) -> Iterator[tuple[Scene, Prometheus]]:
    """Run a shop with Prometheus, the shortened rules and a mail server during the block."""
    state = Path(tempfile.mkdtemp(prefix="shop-alerts-"))
    short_rules.write(MONITORING / "rules", state / "rules")
    observe = Observe(state / "rules", INTERVAL, traces=False)
    with mail_server() as (mail, url):
        options = Options(settings={**SETTINGS, "SMTP_URL": url}, mongodb=server, observe=observe)
        stack = Stack(state, free_ports(), options)
        try:
            stack.up(stop_with_parent=True)
            yield Scene(stack, mail), Prometheus(stack.pages()["prometheus"])
        finally:
            stack.destroy()


def wait_until_scraped(prometheus: Prometheus) -> None:
    """Wait until every target answers. Raises TimeoutError."""
    deadline = time.monotonic() + SECONDS_TO_FIRE
    while set((health := prometheus.targets()).values()) != {"up"}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Prometheus does not scrape everything: {health}")
        time.sleep(0.2)


def run(fault: Fault, scene: Scene, prometheus: Prometheus) -> Outcome:
    """Break something until the expected alerts fire, repair it, and wait until no alert fires or is pending."""
    outcome, healthy_until = Outcome(fault), time.monotonic() + SECONDS_HEALTHY
    with fault.during(scene):
        outcome.seconds_to_fire = _poll(
            prometheus,
            outcome.during,
            lambda _: outcome.during >= fault.raises and (bool(fault.raises) or time.monotonic() > healthy_until),
            SECONDS_TO_FIRE,
        )
    outcome.seconds_to_end = _poll(prometheus, outcome.afterwards, lambda alerts: not alerts, SECONDS_TO_END)
    outcome.not_ended = {str(alert) for alert in prometheus.alerts() if alert.is_firing}
    return outcome


def _poll(prometheus: Prometheus, fired: set[str], is_over: Callable[[Sequence[Alert]], bool], seconds: float) -> float:
    """Collect the alerts that fire until something is over or the time is; return how many seconds that took."""
    started = time.monotonic()
    while True:
        alerts = prometheus.alerts()
        fired |= {str(alert) for alert in alerts if alert.is_firing}
        elapsed = time.monotonic() - started
        if is_over(alerts) or elapsed > seconds:
            return elapsed
        time.sleep(0.2)


def line(outcome: Outcome) -> str:
    """Return the line of the table for an outcome."""
    fired = ", ".join(sorted(outcome.during | outcome.afterwards)) or "none"
    times = f"{outcome.seconds_to_fire:>10.0f} s{outcome.seconds_to_end:>10.0f} s"
    return f"{outcome.fault.name:<40}{times}  {fired}"
