"""MongoDB of product-service: products, recorded stock changes, reservations.

The stock changes only by conditional updates (compare-and-set) and, where several documents must agree, in a
transaction. Every method is safe to run twice.
"""

from product_service.store.audit import StockAudit
from product_service.store.indexes import Indexes
from product_service.store.products import ProductStore
from product_service.store.reservations import ReservationStore
from product_service.store.transactions import Transactions

__all__ = ["Indexes", "ProductStore", "ReservationStore", "StockAudit", "Transactions"]
