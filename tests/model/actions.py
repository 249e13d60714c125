"""Each action of the saga with the function of the code that does it."""

CLIENT, STORE = "order_service.products:ProductClient", "order_service.store:OrderStore"
RESERVATIONS = "product_service.store:ReservationStore"

ACTIONS = {
    "request.reserve": f"{CLIENT}.reserve",
    "request.insert": f"{STORE}.insert",
    "request.read": f"{STORE}.read",
    "request.read_on": f"{STORE}.attempts",
    "request.release": f"{CLIENT}.release",
    "product.take": f"{RESERVATIONS}.reserve",
    "product.give_back": f"{RESERVATIONS}.release",
    "product.expire": "product_service.store:Indexes.ensure_indexes",
    "worker.release": f"{CLIENT}.release",
    "worker.released": f"{STORE}.released",
    "worker.list": f"{CLIENT}.reservations",
    "worker.compare": f"{STORE}.statuses",
    "worker.note": f"{STORE}.insert",
    "worker.advance_cursor": f"{STORE}.advance_cursor",
    "worker.step_back": f"{STORE}.step_back",
    "worker.publish": "order_service.publisher:Publisher.publish",
    "worker.published": f"{STORE}.published",
    "customer.cancel": f"{STORE}.advance",
}
