"""Looking up what a run has found."""

from collections.abc import Iterable
from statistics import median

from bench.load import SHOP
from bench.measuring import Point


class Figures:
    """Medians of a run's points, and ratios of the same rounds."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._points: dict[tuple[str, int], dict[str, list[Point]]] = {}
        for point in points:
            targets = self._points.setdefault((point["workload"], point["clients"]), {})
            targets.setdefault(point["target"], []).append(point)

    def clients(self, workload: str, target: str = "") -> list[int]:
        """Return the numbers of clients with which a workload was measured, on a target if one is named."""
        return [n for (name, n), found in self._points.items() if name == workload and (not target or target in found)]

    def targets(self, workload: str, clients: int) -> list[str]:
        """Return what was measured, the shop first."""
        return sorted(self._points[workload, clients], key=lambda name: name != SHOP)

    def median(self, workload: str, clients: int, target: str, key: str) -> float | None:
        """Return the median of all rounds."""
        points = self._points.get((workload, clients), {}).get(target, [])
        values = [point[key] for point in points if point.get(key) is not None]
        return median(values) if values else None

    def ratios(self, workload: str, clients: int, other: str, key: str) -> list[float]:
        """Return the shop's figure divided by another target's in each round, in ascending order."""
        found = self._points.get((workload, clients), {})
        theirs = {point["round"]: point[key] for point in found.get(other, []) if other != SHOP}
        return sorted(p[key] / theirs[p["round"]] for p in found.get(SHOP, []) if theirs.get(p["round"]))
