"""Each action of the specifications with the function of the code that performs it."""

CLIENT, STORE = "order_service.product_client:ProductClient", "order_service.store:OrderStore"
OUTBOX, CURSOR = "order_service.store:Outbox", "order_service.store:ReconciliationCursor"
RESERVATIONS = "product_service.store:ReservationStore"
PAYMENTS, PROVIDER = "order_service.store:PaymentStore", "order_service.payment.simulated:SimulatedProvider"

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
PAYMENT_ACTIONS = {
    "request.read": f"{STORE}.find",
    "request.start": f"{PAYMENTS}.start",
    "request.save_reference": f"{PAYMENTS}.save_reference",
    "request.capture": f"{PROVIDER}.capture",
    "request.mark_unknown": f"{PAYMENTS}.mark_unknown",
    "request.settle_captured": f"{PAYMENTS}.settle_captured",
    "request.settle_declined": f"{PAYMENTS}.settle_declined",
    "worker.due": f"{PAYMENTS}.due",
    "worker.look_up": f"{PROVIDER}.look_up",
    "worker.settle_captured": f"{PAYMENTS}.settle_captured",
    "worker.settle_declined": f"{PAYMENTS}.settle_declined",
    "worker.refund": f"{PROVIDER}.refund",
    "worker.mark_refunded": f"{PAYMENTS}.mark_refunded",
    "worker.expire": f"{STORE}.transition",
    "worker.clear_due": f"{PAYMENTS}.clear_due",
    "customer.cancel": f"{STORE}.transition",
    "admin.ship": f"{STORE}.transition",
}
