"""A dozen products to try the shop with. Their ids, `demo-1` to `demo-12`, stay the same."""

from typing import Any

_ROWS = [
    ("Espresso Machine", 24900, 25, "kitchen", "Pump pressure of 15 bar, stainless steel."),
    ("Coffee Grinder", 8950, 40, "kitchen", "Conical burrs, 30 settings."),
    ("Cast Iron Pan", 4500, 60, "kitchen", "26 cm, pre-seasoned."),
    ("Chef's Knife", 6990, 35, "kitchen", "20 cm blade of carbon steel."),
    ("Mechanical Keyboard", 11900, 50, "office", "Tactile switches, hot-swappable."),
    ("Desk Lamp", 3995, 80, "office", "LED, dimmable, warm to cold white."),
    ("Standing Desk", 38900, 12, "office", "Electric, 65 to 125 cm."),
    ("Notebook, dotted", 1250, 500, "office", "A5, 192 pages, thread-bound."),
    ("Travel Backpack", 12900, 30, "travel", "40 litres, fits under most seats."),
    ("Steel Bottle", 2490, 200, "travel", "0.75 litres, keeps cold for a day."),
    ("Noise-cancelling Headphones", 19900, 45, "audio", "Over-ear, 30 hours of playback."),
    ("Bluetooth Speaker", 5990, 70, "audio", "Waterproof, pairs in stereo."),
]
_FIELDS = ("name", "price", "stock", "category", "description")

DEMO_PRODUCTS: dict[str, dict[str, Any]] = {
    f"demo-{number}": dict(zip(_FIELDS, row, strict=True)) | {"sku": f"DEMO-{number:02d}"}
    for number, row in enumerate(_ROWS, 1)
}
