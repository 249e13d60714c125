"""A chart as SVG: orders per second, and CPU per order, of the shop beside the naive flow."""

from bench.figures import Figures

COLOURS = {"shop": "#2563eb", "baseline": "#f97316"}
TITLES = {"throughput": "orders per second", "cpu": "ms of CPU per order, all services"}
LABELS = {"orders-spread": "one line", "orders-three-lines": "three lines", "orders-hot": "one product"}
WIDTH, HEIGHT, BAR, GAP, TOP, BOTTOM = 480, 260, 30, 30, 60, 40


def chart(figures: Figures) -> str:
    """Return the SVG file of a run."""
    legend = [
        f'<text x="{20 + 90 * i}" y="20" fill="{colour}">■ {name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items())
    ]
    panels = [shape for i, key in enumerate(TITLES) for shape in _panel(figures, key, i * WIDTH)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-family="sans-serif"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'{head} font-size="11">', background, *legend, *panels, "</svg>", ""])


def _panel(figures: Figures, key: str, left: float) -> list[str]:
    groups = [(name, n) for name in LABELS for n in figures.clients(name)]
    values = {(*group, target): figures.median(*group, target, key) or 0.0 for group in groups for target in COLOURS}
    highest = max(values.values(), default=0.0) or 1.0
    shapes, x = [_text(left + WIDTH / 2, TOP - 20, TITLES[key])], left + 20
    for name, clients in groups:
        shapes.append(_text(x + BAR, HEIGHT - 22, LABELS[name]) + _text(x + BAR, HEIGHT - 8, f"{clients} clients"))
        for target in COLOURS:
            shapes.append(_bar(x, values[name, clients, target], highest, COLOURS[target]))
            x += BAR
        x += GAP
    return shapes


def _bar(x: float, value: float, highest: float, colour: str) -> str:
    height = value / highest * (HEIGHT - TOP - BOTTOM)
    top = HEIGHT - BOTTOM - height
    bar = f'<rect x="{x:.0f}" y="{top:.1f}" width="{BAR - 3}" height="{height:.1f}" fill="{colour}"/>'
    return bar + _text(x + BAR / 2 - 1, top - 4, f"{value:.3g}")


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{text}</text>'
