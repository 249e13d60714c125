"""What every program does first: logs, traces and metrics, by its settings."""

import importlib
from collections.abc import Callable

from chassis import logs, probes
from chassis.config import BackgroundSettings, ConfigurationError, TelemetrySettings
from chassis.telemetry import metrics, tracing

LOST = metrics.counter("shop_spans_lost_total", "Spans that the collector did not take.")


def observe(program: str, settings: TelemetrySettings) -> None:
    """Send the logs of this process to standard output, and its traces to the collector, if there is one.

    Call it after a fork: the thread that sends the spans does not survive one. Raises ConfigurationError.
    """
    logs.configure(program, settings.log_level)
    recorder = _recorder(program, settings.collector, settings) if settings.collector else None
    tracing.record_with(recorder, settings.sampling_ratio)


def _recorder(program: str, collector: str, settings: TelemetrySettings) -> tracing.Recorder:
    from chassis.telemetry.otlp import OtlpRecorder  # takes 4 MB, which is wasted without a collector

    try:
        return OtlpRecorder(program, collector, settings.otel_exporter_otlp_timeout, LOST.inc)
    except ValueError as exc:  # from one of the variables that the library reads itself
        raise ConfigurationError(f"configuration: OTEL_*: {exc}") from exc


def preload(settings: TelemetrySettings) -> None:
    """Import before a fork what `observe` needs, so that the processes share its memory."""
    if settings.collector:
        importlib.import_module("chassis.telemetry.otlp")


def serve(settings: BackgroundSettings, is_ready: Callable[[], bool]) -> None:
    """Serve the metrics and probes of a background program, if a port is set. Raises ConfigurationError."""
    if not settings.metrics_port:
        return
    try:
        probes.serve(settings.metrics_host, settings.metrics_port, is_ready)
    except OSError as exc:
        raise ConfigurationError(f"configuration: METRICS_PORT: port {settings.metrics_port}: {exc}") from exc
