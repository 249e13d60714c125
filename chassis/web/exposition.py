"""`/metrics`, which Prometheus reads. It is for the internal network only: the gateway answers 404."""

from flask import Response

from chassis.auth.access import public
from chassis.telemetry import metrics
from chassis.web.app import App


def init_app(app: App) -> None:
    """Add `/metrics` in Prometheus' text format."""

    @public
    def show_metrics() -> Response:
        return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)

    app.add_url_rule("/metrics", "metrics", show_metrics)
