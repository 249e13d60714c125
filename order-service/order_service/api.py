"""The routes of order-service: parse, call, present."""

from collections.abc import Callable

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, CUSTOMER, caller, listed_owner, own_only, public, requires
from chassis.errors import NotFound
from chassis.service import collaborator
from chassis.web.docs import raises
from chassis.web.headers import idempotency_key
from chassis.web.json_bodies import optional_body
from chassis.web.responses import conditional_response, created, json_response, no_content
from order_service.model import Buyer, Item, OrderFilter, OrderRequest, merge_items
from order_service.orders import Orders, PaymentRequired, WrongState
from order_service.payment.provider import InvalidSignature, ProviderUnavailable
from order_service.payments import PaymentDeclined, Payments, PaymentsDisabled
from order_service.placing import InsufficientStock, KeyReused, OrderFailed, UnknownProduct
from order_service.product_replies import ProductServiceUnavailable
from order_service.replies import OrderList, OrderReply
from order_service.schemas import OrderBody, OrderPath, OrderQuery, PaymentBody, ShipmentBody

ORDERS = Tag(name="Orders", description="Place orders, read them, and move them from status to status.")
PAYMENTS = Tag(name="Payments", description="Pay orders through a payment provider.")
api = APIBlueprint("orders", __name__)
orders: Orders = collaborator("orders")
payments: Payments = collaborator("payments")
stripe_webhook: Callable[[bytes, str], str | None] = collaborator("stripe_webhook")


@api.post("/orders", tags=[ORDERS], responses={201: OrderReply})
@raises(InsufficientStock, UnknownProduct, KeyReused, OrderFailed, ProductServiceUnavailable)
@requires(CUSTOMER, ADMIN)
def place_order(body: OrderBody) -> Response:
    """Place an order.

    The prices come from product-service. Send an `Idempotency-Key` header (1 to 255 visible ASCII characters) to repeat
    a request safely: the repeat gets the same order, as it is now, with `Idempotent-Replayed: true`.
    """
    user = caller()
    items = merge_items(Item(item.product_id, item.quantity) for item in body.all_items())
    buyer = Buyer(user.id, user.email, user.phone)
    wanted = OrderRequest(buyer, items, idempotency_key(), body.address(), body.note)
    order, replayed = orders.place(wanted)
    response = created(json_response(OrderReply, order), f"/orders/{order.id}")
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.get("/orders", tags=[ORDERS], responses={200: OrderList})
@requires(CUSTOMER, ADMIN)
def list_orders(query: OrderQuery) -> Response:
    """List orders, newest first.

    A customer gets their own orders, an administrator everybody's. Only an administrator may ask for the `user_id` of
    somebody else.
    """
    wanted = OrderFilter(listed_owner(query.user_id), query.status, query.created_after, query.created_before)
    return json_response(OrderList, orders.list_orders(wanted, limit=query.limit, cursor=query.cursor))


@api.get("/orders/<order_id>", tags=[ORDERS], responses={200: OrderReply, 304: None})
@requires(CUSTOMER, ADMIN)
def get_order(path: OrderPath) -> Response:
    """Get an order.

    A customer finds only their own orders, an administrator everybody's. With `If-None-Match` and the current `ETag`
    the answer is 304, without a body: a page can ask every few seconds.
    """
    return conditional_response(json_response(OrderReply, orders.get(path.order_id, own_only())))


@api.post("/orders/<order_id>/pay", tags=[PAYMENTS], responses={200: OrderReply})
@raises(PaymentDeclined, PaymentsDisabled, WrongState, ProviderUnavailable)
@requires(CUSTOMER, ADMIN)
def pay_order(path: OrderPath, body: PaymentBody) -> Response:
    """Pay an order of one's own.

    A repeat is safe: an order is never paid twice, and an answer that was lost is found out. With the simulated
    provider `payment_method` is `pm_card_ok`, `pm_card_declined`, `pm_card_lost` or `pm_card_slow`.
    """
    return json_response(OrderReply, payments.pay(path.order_id, caller().id, body.payment_method))


@api.post("/orders/<order_id>/cancel", tags=[ORDERS], responses={200: OrderReply})
@raises(WrongState)
@requires(CUSTOMER, ADMIN)
def cancel_order(path: OrderPath) -> Response:
    """Cancel a confirmed or paid order.

    Its stock returns, what was paid is refunded, and the buyer is notified. A customer finds only their own orders.
    """
    return json_response(OrderReply, orders.cancel(path.order_id, own_only(), caller().id))


@api.post("/orders/<order_id>/ship", tags=[ORDERS], responses={200: OrderReply})
@raises(WrongState, PaymentRequired)
@requires(ADMIN)
@optional_body
def ship_order(path: OrderPath, body: ShipmentBody) -> Response:
    """Mark an order as shipped.

    Where a payment provider is set, the order must be paid. The buyer is notified, with the tracking if there is one.
    """
    return json_response(OrderReply, orders.ship(path.order_id, body.tracking()))


@api.post("/orders/<order_id>/deliver", tags=[ORDERS], responses={200: OrderReply})
@raises(WrongState)
@requires(ADMIN)
def deliver_order(path: OrderPath) -> Response:
    """Mark a shipped order as delivered.

    The buyer is notified.
    """
    return json_response(OrderReply, orders.deliver(path.order_id))


@api.post("/payments/webhooks/stripe", tags=[PAYMENTS], responses={204: None})
@raises(InvalidSignature, NotFound)
@public
def receive_stripe_event() -> Response:
    """Receive an event of Stripe.

    Its `Stripe-Signature` is verified. An event changes nothing itself: it makes the worker ask Stripe about the order,
    so that repeated, reordered and unknown events are harmless.
    """
    order_id = stripe_webhook(request.get_data(), request.headers.get("Stripe-Signature", ""))
    if order_id:
        payments.ask_again(order_id)
    return no_content()
