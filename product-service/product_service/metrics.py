"""The metrics of product-service. To add one, describe it in `contracts/telemetry.json` too."""

from chassis.telemetry import metrics

RESERVATIONS = metrics.ByLabel(
    metrics.counter("shop_reservations_total", "Reservations of stock by their outcome.", ["outcome"]),
    "held",
    "repeated",
    "insufficient",
    "unknown",
    "conflict",
)
STOCKOUT_LINES = metrics.counter(
    "shop_stockout_lines_total", "Lines of refused reservations for which there was too little stock."
)
RETRIES = metrics.counter(
    "shop_reservation_retries_total", "Repeated transactions: another one had written the same product."
)
