"""What is measured. To add a workload, write its Lua script under `bench/workloads` and name it here."""

from dataclasses import dataclass

SHOP, BASELINE, KEPT, FLOOR, HOPS = "shop", "baseline", "baseline-kept", "floor", "hops"


@dataclass(frozen=True)
class Workload:
    """A kind of request to one service, and what the shop is compared with, in the order of a round."""

    name: str
    service: str
    beside: tuple[str, ...] = ()
    places_orders: bool = False


_ALL = (
    Workload("orders-spread", "order-service", (BASELINE, KEPT, FLOOR), places_orders=True),
    Workload("orders-hot", "order-service", (BASELINE, KEPT), places_orders=True),
    Workload("orders-three-lines", "order-service", (BASELINE, KEPT), places_orders=True),
    Workload("product", "product-service", (FLOOR,)),
    Workload("products", "product-service"),
    Workload("own-orders", "order-service"),
    Workload("sign-in", "user-service"),
)
WORKLOADS = {workload.name: workload for workload in _ALL}
