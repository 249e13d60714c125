"""What the metrics of this process say, for tests that count exactly."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from chassis.telemetry import metrics

OF_EVERY_CALL = ("http_", "process_", "shop_store_")  # these grow with whatever a test does


def shown(text: str | None = None) -> list[Sample]:
    """Return each sample of an exposition, by default this process's."""
    families = text_string_to_metric_families(metrics.exposition().decode() if text is None else text)
    return [sample for family in families for sample in family.samples]


def samples(text: str | None = None) -> dict[str, float]:
    """Return the value of each sample by its name and the values of its labels, in the order of the labels' names."""
    return {
        " ".join([sample.name, *(label for _, label in sorted(sample.labels.items()))]): sample.value
        for sample in shown(text)
    }


def value(name: str) -> float:
    """Return a sample, for example `shop_pool_busy smtp`."""
    return samples()[name]


def total(name: str, text: str | None = None, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels, 0 if there is none."""
    return sum(each.value for each in shown(text) if each.name == name and labels.items() <= each.labels.items())


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """Yield a dictionary that has, after the block, how much each counter of the business has grown.

    A histogram has its count in it: `shop_outbox_delay_seconds_count`.
    """
    grown: dict[str, float] = {}
    before = samples()
    yield grown
    for name, number in samples().items():
        difference = number - before.get(name, 0)
        is_count = name.split()[0].endswith(("_total", "_count"))
        if difference and is_count and not name.startswith(OF_EVERY_CALL):
            grown[name] = difference
