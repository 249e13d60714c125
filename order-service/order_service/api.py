"""The routes of order-service: parse, call, present."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, CUSTOMER, caller, listed_owner, own_only, requires
from chassis.service import collaborator
from chassis.web.docs import raises
from chassis.web.headers import idempotency_key
from chassis.web.responses import created, json_response
from order_service.model import Buyer, Item
from order_service.orders import Orders, WrongState
from order_service.placing import InsufficientStock, KeyReused, OrderFailed, UnknownProduct
from order_service.product_replies import ProductServiceUnavailable
from order_service.schemas import OrderBody, OrderList, OrderPath, OrderQuery, OrderReply

ORDERS = Tag(name="Orders", description="Place orders, read them, and move them from status to status.")
api = APIBlueprint("orders", __name__, abp_tags=[ORDERS])
orders: Orders = collaborator("orders")


@api.post("/orders", responses={201: OrderReply})
@raises(InsufficientStock, UnknownProduct, KeyReused, OrderFailed, ProductServiceUnavailable)
@requires(CUSTOMER, ADMIN)
def place_order(body: OrderBody) -> Response:
    """Place an order.

    The prices come from product-service. Send an `Idempotency-Key` header (1 to 255 visible ASCII characters) to repeat
    a request safely: the repeat gets the same order, as it is now, with `Idempotent-Replayed: true`.
    """
    user = caller()
    buyer = Buyer(user.id, user.email, user.phone)
    items = [Item(item.product_id, item.quantity) for item in body.all_items()]
    order, replayed = orders.place(buyer, items, idempotency_key())
    response = created(json_response(OrderReply, order), f"/orders/{order.id}")
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.get("/orders", responses={200: OrderList})
@requires(CUSTOMER, ADMIN)
def list_orders(query: OrderQuery) -> Response:
    """List orders, newest first.

    A customer gets their own orders, an administrator everybody's. Only an administrator may ask for the `user_id` of
    somebody else.
    """
    page = orders.list_orders(listed_owner(query.user_id), query.status, limit=query.limit, cursor=query.cursor)
    return json_response(OrderList, page)


@api.get("/orders/<order_id>", responses={200: OrderReply})
@requires(CUSTOMER, ADMIN)
def get_order(path: OrderPath) -> Response:
    """Get an order.

    A customer finds only their own orders, an administrator everybody's.
    """
    return json_response(OrderReply, orders.get(path.order_id, own_only()))


@api.post("/orders/<order_id>/cancel", responses={200: OrderReply})
@raises(WrongState)
@requires(CUSTOMER, ADMIN)
def cancel_order(path: OrderPath) -> Response:
    """Cancel a confirmed order.

    Its stock returns, and the buyer is notified. A customer finds only their own orders.
    """
    return json_response(OrderReply, orders.cancel(path.order_id, own_only()))


@api.post("/orders/<order_id>/ship", responses={200: OrderReply})
@raises(WrongState)
@requires(ADMIN)
def ship_order(path: OrderPath) -> Response:
    """Mark a confirmed order as shipped.

    The buyer is notified.
    """
    return json_response(OrderReply, orders.ship(path.order_id))


@api.post("/orders/<order_id>/deliver", responses={200: OrderReply})
@raises(WrongState)
@requires(ADMIN)
def deliver_order(path: OrderPath) -> Response:
    """Mark a shipped order as delivered.

    The buyer is notified.
    """
    return json_response(OrderReply, orders.deliver(path.order_id))
