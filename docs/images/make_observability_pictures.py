"""Make the pictures of traces and dashboards: `.venv/bin/python docs/images/make_observability_pictures.py [MONGODB]`.

Runs a shop of its own with customers for two minutes; in the second one, product-service is slow for some seconds. The
trace is an order of that time, and the dashboards are those of deploy/monitoring with what Prometheus answers. MONGODB
is the server program, as for `./dev up --mongodb`.
"""

import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import charts
from charts import Series
from make_screenshots import empty_page, save
from playwright.sync_api import Page

from tools.observe.queries import Prometheus
from tools.observe.spans import Span
from tools.observe.trace_command import by_id, fetch
from tools.observe.traffic import traffic
from tools.paths import MONITORING
from tools.stack import processes
from tools.stack.prometheus import Observe
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack

SECONDS = 120.0  # of traffic
WARM_UP = 15.0  # s that no picture shows: connections and caches begin cold
SLOW = (75.0, 90.0)  # when product-service is slow, in seconds after the start
PAUSE, WORK = 0.06, 0.02  # s that it stands still, and goes on, in turns
STEP = 2.0  # s between two points of a line
VARIABLES = {"$__rate_interval": "12s", "$job": ".+", "$__range": f"{SECONDS:.0f}s"}
WIDTH, ROW, MARGIN = 1172, 19, 45  # pixels: of a page, of a row of a dashboard, of its title
COLUMN = WIDTH / 24
SLOW_CALL = "ReservationStore.reserve"
PICTURED = {"POST /orders", SLOW_CALL, "publish shop.events:order_created", "send email", "NotificationStore.mark_sent"}


def run(stack: Stack) -> tuple[float, float]:
    """Let customers use the shop, and return from when to when the pictures are."""
    slow = stack.processes("product-service")
    with traffic(stack):
        started = time.time()
        while (elapsed := time.time() - started) < SECONDS:
            if SLOW[0] < elapsed < SLOW[1]:
                processes.send(slow, signal.SIGSTOP)
                time.sleep(PAUSE)
                processes.send(slow, signal.SIGCONT)
            time.sleep(WORK)
        return started + WARM_UP, time.time()


def slow_order(stack: Stack) -> list[Span]:
    """Return the trace of the order whose reservation was the slowest, of those that were placed and notified."""
    traces = by_id(fetch(stack.pages()["traces"])).values()
    complete = [spans for spans in traces if {span.name for span in spans} >= PICTURED]
    return max(complete, key=lambda spans: max(span.end - span.start for span in spans if span.name == SLOW_CALL))


def dashboard(path: Path, prometheus: Prometheus, period: tuple[float, float]) -> tuple[str, int]:
    """Return a dashboard as a page, and its height."""
    document = json.loads(path.read_text())
    panels = "".join(draw(panel, prometheus, period) for panel in document["panels"])
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in document["panels"])
    return charts.page(document["title"], f"<div class=grid>{panels}</div>"), rows * ROW + MARGIN + 8


def draw(panel: dict[str, Any], prometheus: Prometheus, period: tuple[float, float]) -> str:
    """Return a panel with what its queries answer."""
    series = [each for target in panel["targets"] for each in ask(target, prometheus, period)]
    unit, place = panel["fieldConfig"]["defaults"].get("unit", ""), panel["gridPos"]
    drawn = {
        "stat": lambda: charts.number(series, unit),
        "bargauge": lambda: charts.bars(series, unit),
        "table": lambda: charts.table(series),
        "timeseries": lambda: charts.lines(series, unit, period, place["w"] * COLUMN - 26, place["h"] * ROW - 40),
    }[panel["type"]]()
    return charts.panel(place, panel["title"], drawn, COLUMN, ROW)


def ask(target: dict[str, Any], prometheus: Prometheus, period: tuple[float, float]) -> list[Series]:
    """Return the series of a query, named by its legend."""
    expression = target["expr"]
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    start, end = (period[1], period[1]) if target.get("instant") else period
    found = []
    for result in prometheus.query_range(expression, start, end, STEP):
        name = target["legendFormat"]
        for label, text in result["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", text)
        points = [(at, float(value)) for at, value in result["values"] if value != "NaN"]
        found += [Series(name, points)] if points else []
    return found


def save_document(page: Page, name: str, document: str, height: int) -> None:
    """Save a document as a picture."""
    page.set_content(document)
    save(page, name, height)


def main() -> None:
    """Make all pictures."""
    settings = {"REGISTRATIONS_PER_MINUTE": "1000", "PAYMENT_MINUTES": "0.5"}
    options = Options(settings=settings, mongodb="".join(sys.argv[1:]), observe=Observe(interval=STEP))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "shop", free_ports(), options)
        try:
            stack.up(stop_with_parent=True)
            period = run(stack)
            prometheus, spans = Prometheus(stack.pages()["prometheus"]), slow_order(stack)
            title = f"Trace {spans[0].trace_id}: one order that was slow"
            with empty_page() as page:
                save_document(page, "trace.png", charts.page(title, charts.trace(spans)), len(spans) * 21 + MARGIN + 30)
                for path in sorted((MONITORING / "dashboards").glob("*.json")):
                    save_document(page, f"dashboard-{path.stem}.png", *dashboard(path, prometheus, period))
        finally:
            stack.destroy()


if __name__ == "__main__":
    main()
