"""The examples in the API's description. They use the demo data, whose ids never change."""

from typing import Any

ORDER_ID = "b65d1f6e3a0c4c0f9d2e7a8154c3f0ab"
ITEM = {"product_id": "demo-2", "quantity": 2}  # the Coffee Grinder of the demo data, whose id never changes
LINE = ITEM | {"name": "Coffee Grinder", "unit_price": "89.50"}
ORDERED_AT, PAID_AT = "2026-01-31T12:00:00.000Z", "2026-01-31T12:01:00.000Z"
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4LB",
    "country": "GB",
}
PAYMENT = {"status": "paid", "method": "pm_card_ok", "amount": "179.00", "paid_at": PAID_AT, "refunded_at": None}
SHIPMENT = {
    "carrier": "Parcel Post",
    "tracking_number": "PP123456789GB",
    "tracking_url": "https://parcels.example.com/PP123456789GB",
}
ORDER: dict[str, Any] = {
    "id": ORDER_ID,
    "status": "paid",
    "buyer": {"id": "7c9e6679f4a24f0e9c1d2b3a4f5e6d7c", "email": "ada@example.com", "phone": None},
    "items": [ITEM],
    "lines": [LINE],
    "total": "179.00",
    "currency": "EUR",
    "shipping_address": {**ADDRESS, "line2": None, "region": None},
    "note": "Please ring twice.",
    "tracking": None,
    "payment": PAYMENT,
    "refusal": None,
    "history": [
        {"status": "confirmed", "at": ORDERED_AT, "by": "customer"},
        {"status": "paid", "at": PAID_AT, "by": "customer"},
    ],
    "created_at": ORDERED_AT,
    "updated_at": PAID_AT,
}
