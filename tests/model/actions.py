"""Each action of the saga with the function of the code that performs it."""

CLIENT, STORE = "order_service.product_client:ProductClient", "order_service.store:OrderStore"
OUTBOX, CURSOR = "order_service.store:Outbox", "order_service.store:ReconciliationCursor"
RESERVATIONS = "product_service.store:ReservationStore"

ACTIONS = {
    "request.reserve": f"{CLIENT}.reserve",
    "request.insert": f"{STORE}.create",
    "request.read": f"{STORE}.find",
    "request.read_on": f"{STORE}.find_many",
    "request.release": f"{CLIENT}.release",
    "product.take": f"{RESERVATIONS}.reserve",
    "product.give_back": f"{RESERVATIONS}.release",
    "product.expire": "product_service.store:Indexes.ensure_indexes",
    "worker.release": f"{CLIENT}.release",
    "worker.released": f"{STORE}.mark_released",
    "worker.list": f"{CLIENT}.reservations",
    "worker.compare": f"{STORE}.statuses",
    "worker.note": f"{STORE}.create",
    "worker.make_due": f"{STORE}.make_release_due",
    "worker.advance_cursor": f"{CURSOR}.save",
    "worker.step_back": f"{CURSOR}.step_back",
    "worker.publish": "order_service.publisher:Publisher.publish",
    "worker.published": f"{OUTBOX}.mark_published",
    "customer.cancel": f"{STORE}.transition",
}
