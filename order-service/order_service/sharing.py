"""How several workers share the work: each takes the orders in its own range of ids.

An order's id is a digest, so ranges of the same length have the same number of orders. While workers come and go two of
them may take the same order, or none for some seconds. Neither does harm: everything a worker does is safe to do twice.
"""

import time
from dataclasses import dataclass, field

from order_service.model import ALL_ORDERS, NO_ORDERS, IdRange
from order_service.store import WorkerLeases
from order_service.timings import Timings

HEX_DIGITS = 8  # of an id, as many as a limit of a range has


@dataclass(frozen=True)
class Share:
    """The part of one worker: a range of ids, and for one of the workers what cannot be divided."""

    ids: IdRange = ALL_ORDERS
    has_the_rest: bool = True

    @classmethod
    def of(cls, number: int, workers: int) -> "Share":
        """Return the share of a worker, by its number from 0 on among all workers."""
        limits = ["", *(f"{each * 16**HEX_DIGITS // workers:0{HEX_DIGITS}x}" for each in range(1, workers)), None]
        return cls(IdRange(limits[number] or "", limits[number + 1]), number == 0)


NOTHING = Share(NO_ORDERS, has_the_rest=False)


@dataclass
class Sharing:
    """Keeps the lease of a worker, and derives its share from the leases of all."""

    leases: WorkerLeases
    name: str
    timings: Timings
    next_run: float = 0.0
    share: Share = field(default_factory=Share)

    def current(self, *, is_working: bool = True) -> Share:
        """Return the share of this worker now. Raises Unavailable if the database is away.

        A worker to which the broker does not answer leaves its share to the others, as soon as its lease has ended and
        if there are others. In an outage of the broker nobody has a lease, and each of them tries all orders.
        """
        if time.monotonic() >= self.next_run:
            self.share = self._divide(is_working)
            self.next_run = time.monotonic() + self.timings.renew_every
        return self.share

    def _divide(self, is_working: bool) -> Share:
        workers = self.leases.renew(self.name, self.timings.lease) if is_working else self.leases.living()
        if self.name in workers:
            return Share.of(workers.index(self.name), len(workers))
        return NOTHING if workers else Share()

    def leave(self) -> None:
        """Give the share to the others at once. Raises Unavailable; then they get it when the lease ends."""
        self.leases.end(self.name)
