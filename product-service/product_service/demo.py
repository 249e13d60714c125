"""A dozen products to try the shop with. Their ids, `demo-1` to `demo-12`, stay the same.

The storefront has their pictures.
"""

from typing import Any

_ROWS = [
    ("Espresso Machine", 24900, 25, "kitchen", "espresso-machine", "Pump pressure of 15 bar, stainless steel."),
    ("Coffee Grinder", 8950, 40, "kitchen", "coffee-grinder", "Conical burrs, 30 settings."),
    ("Cast Iron Pan", 4500, 60, "kitchen", "cast-iron-pan", "26 cm, pre-seasoned."),
    ("Chef's Knife", 6990, 35, "kitchen", "chefs-knife", "20 cm blade of carbon steel."),
    ("Mechanical Keyboard", 11900, 50, "office", "mechanical-keyboard", "Tactile switches, hot-swappable."),
    ("Desk Lamp", 3995, 80, "office", "desk-lamp", "LED, dimmable, warm to cold white."),
    ("Standing Desk", 38900, 12, "office", "standing-desk", "Electric, 65 to 125 cm."),
    ("Notebook, dotted", 1250, 500, "office", "notebook", "A5, 192 pages, thread-bound."),
    ("Travel Backpack", 12900, 30, "travel", "travel-backpack", "40 litres, fits under most seats."),
    ("Steel Bottle", 2490, 200, "travel", "steel-bottle", "0.75 litres, keeps cold for a day."),
    ("Noise-cancelling Headphones", 19900, 45, "audio", "headphones", "Over-ear, 30 hours of playback."),
    ("Bluetooth Speaker", 5990, 70, "audio", "bluetooth-speaker", "Waterproof, pairs in stereo."),
]

DEMO_PRODUCTS: dict[str, dict[str, Any]] = {
    f"demo-{number}": {
        "name": name,
        "price": price,
        "stock": stock,
        "category": category,
        "description": description,
        "sku": f"DEMO-{number:02d}",
        "image_url": f"/pictures/{picture}.svg",
    }
    for number, (name, price, stock, category, picture, description) in enumerate(_ROWS, 1)
}
