"""What operators see: traces and metrics. Each of the two libraries has one home: `otlp` and `metrics`."""
