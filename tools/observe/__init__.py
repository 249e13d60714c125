"""See inside the running shop: a receiver of traces, one order's trace, and the alerts that a fault raises."""
