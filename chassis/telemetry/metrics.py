"""The home of prometheus_client: metrics of one process, or of all worker processes of a web service together.

The processes of a web service write to files in shared memory, one set of files per slot (`deploy.worker_slots`),
and any of them answers for all. To add a metric, describe it in `contracts/telemetry.json` and create it in the
`metrics` module of its service. No label may have data of a person, or one value per user, order or product.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from chassis.telemetry import processes

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)  # buckets for answers that somebody waits for
STORE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)  # buckets for one call of a store
DELAYS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)  # buckets for work in the background

Family = TypeVar("Family", bound=MetricWrapperBase)

Observed = Histogram
"""A histogram with its labels, which `observe`s seconds."""

MAX_READS = 10  # a process that starts makes each of its files empty, and gives it a size a moment later

SUM, LARGEST = "livesum", "livemax"
"""How the values of a gauge combine over the living processes of a web service."""


class _Usage(Collector):
    """Measures the CPU time and the memory of all processes of this program, and when it has started."""

    def __init__(self) -> None:
        self.pids: Callable[[], Sequence[int]] = lambda: [os.getpid()]

    def collect(self) -> Iterator[Metric]:
        """Yield three metrics, with names that Prometheus' own libraries use."""
        pids = self.pids()
        cpu_seconds, resident_bytes = processes.usage(pids)
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of all processes, in seconds.", cpu_seconds)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of all processes.", resident_bytes)
        if started := processes.started(pids[-1]):
            yield GaugeMetricFamily(
                "process_start_time_seconds", "When the program has started, in Unix time.", started
            )


_USAGE = _Usage()
_REGISTRY = CollectorRegistry()  # of this process


def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """Return a new counter; its name ends in `_total`."""
    return Counter(name, meaning, labels, registry=_REGISTRY)


def gauge(name: str, meaning: str, labels: Sequence[str] = (), *, combine: str = SUM) -> Gauge:
    """Return a new gauge. `combine` is `SUM` or `LARGEST`."""
    return Gauge(name, meaning, labels, registry=_REGISTRY, multiprocess_mode=combine)  # type: ignore[arg-type]


def histogram(name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = SECONDS) -> Histogram:
    """Return a new histogram of seconds."""
    return Histogram(name, meaning, labels, registry=_REGISTRY, buckets=buckets)


class ByLabel(dict[str | tuple[str, ...], Family]):
    """The metrics of a family by their label, or labels: `ORDERS["confirmed"]`, `NOTIFICATIONS["email", "sent"]`.

    Those that are given at the start are shown at once, with 0: if a counter appears together with its first increase,
    Prometheus sees no increase. To look a metric up in the library would take longer than to count.
    """

    def __init__(self, family: Family, *labels: str | tuple[str, ...]) -> None:
        self._family = family
        super().__init__({each: self.__missing__(each) for each in labels})

    def __missing__(self, labels: str | tuple[str, ...]) -> Family:
        metric = self[labels] = self._family.labels(*([labels] if isinstance(labels, str) else labels))
        return metric


Counters = ByLabel[Counter]


class Pool:
    """Shows how many places of a pool are in use, so that its saturation can be seen."""

    busy = gauge("shop_pool_busy", "How many places of a pool are in use.", ["pool"])
    size = gauge("shop_pool_size", "How many places a pool has.", ["pool"])

    def __init__(self, name: str, size: int) -> None:
        self._busy = self.busy.labels(name)
        self.size.labels(name).set(size)
        self.take, self.free, self.show = self._busy.inc, self._busy.dec, self._busy.set

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count a place as in use during the block."""
        self.take()
        try:
            yield
        finally:
            self.free()


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format; in a web service, those of all its processes together."""
    for _ in range(MAX_READS - 1):
        with suppress(struct.error):
            return generate_latest(_registry())
        time.sleep(0.001)
    return generate_latest(_registry())


def share(slot: Callable[[], str], pids: Callable[[], Sequence[int]]) -> None:
    """Keep the metrics in files of `PROMETHEUS_MULTIPROC_DIR`, named by the slot of the process.

    Call it before any metric is created. `pids` finds the processes of the program, the parent of the others last.
    """
    values.ValueClass = values.MultiProcessValue(slot)  # type: ignore[no-untyped-call]
    _USAGE.pids = pids


def forget_gauges(slot: str) -> None:
    """Remove the gauges of a slot whose process has ended: only living processes count."""
    mark_process_dead(slot)  # type: ignore[no-untyped-call]


def _registry() -> CollectorRegistry:
    """Return a registry of the metrics of all processes, and of what none of them counts."""
    # A series more for each counter, which the files do not keep.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    if getattr(values.ValueClass, "_multiprocess", False):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_REGISTRY)
    registry.register(_USAGE)
    return registry
