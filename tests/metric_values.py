"""What `/metrics` shows, read as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from chassis.telemetry import metrics


def samples(name: str, text: str | None = None, **labels: str) -> list[Sample]:
    """Return the samples of a name that have these labels, of this process or of a text."""
    shown = metrics.exposition().decode() if text is None else text
    return [
        sample
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def value(name: str, text: str | None = None, **labels: str) -> float:
    """Return the sum of these samples, 0 if there is none."""
    return sum(sample.value for sample in samples(name, text, **labels))
