"""The routes of product-service: parse, call, present."""

from typing import cast

from flask import Response, current_app, request
from flask_openapi3 import APIBlueprint

from chassis.auth.access import ADMIN, SERVICE, caller, public, requires
from chassis.errors import PreconditionFailed
from chassis.web.conditions import check_conditions, conditional
from chassis.web.headers import idempotency_key
from chassis.web.responses import created, json_response, no_content
from product_service.catalogue import Catalogue
from product_service.model import Line, Product, ProductFilter
from product_service.reservations import Reservations
from product_service.schemas import (
    ProductBody,
    ProductList,
    ProductPatch,
    ProductPath,
    ProductQuery,
    ProductReply,
    ReservationBody,
    ReservationList,
    ReservationPath,
    ReservationQuery,
    ReservationReply,
    StockChangeBody,
)

api = APIBlueprint("products", __name__)


@api.get("/products", responses={200: ProductList})
@public
def list_products(query: ProductQuery) -> Response:
    """List products: the words of the name by prefix, category, price, stock."""
    criteria = ProductFilter(query.q, query.category, query.min_price, query.max_price, query.in_stock, query.sort)
    return json_response(ProductList, _catalogue().search(criteria, limit=query.limit, cursor=query.cursor))


@api.get("/products/<product_id>", responses={200: ProductReply, 304: None})
@public
def get_product(path: ProductPath) -> Response:
    """Get a product as it is now."""
    product = _catalogue().get(path.product_id)
    if request.if_none_match.contains_weak(product.etag):
        return _tagged(Response(status=304), product)
    return _with_etag(product)


@api.post("/products", responses={201: ProductReply, 409: None})
@requires(ADMIN)
def add_product(body: ProductBody) -> Response:
    """Add a product."""
    product = _catalogue().add(body.model_dump())
    return _tagged(created(json_response(ProductReply, product), f"/products/{product.id}"), product)


@api.put("/products/<product_id>", responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def replace_product(path: ProductPath, body: ProductBody) -> Response:
    """Replace a product; `stock` is a stock-take."""
    version = _expected_version(path.product_id)
    return _with_etag(_catalogue().change(path.product_id, body.model_dump(), version))


@api.patch("/products/<product_id>", responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def change_product(path: ProductPath, body: ProductPatch) -> Response:
    """Change some attributes of a product; `stock` is a stock-take."""
    version = _expected_version(path.product_id)
    return _with_etag(_catalogue().change(path.product_id, body.model_dump(exclude_unset=True), version))


@api.delete("/products/<product_id>", responses={204: None, 412: None})
@conditional
@requires(ADMIN)
def archive_product(path: ProductPath) -> Response:
    """Hide a product. Past orders keep what they know of it."""
    _catalogue().archive(path.product_id, _expected_version(path.product_id))
    return no_content()


@api.post("/products/<product_id>/stock", responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def adjust_stock(path: ProductPath, body: StockChangeBody) -> Response:
    """Put units in, or take some out; `Idempotency-Key` is honoured."""
    key = idempotency_key()
    key = f"{caller().id}:{key}" if key else None
    version = _expected_version(path.product_id, key)
    product, is_repeat = _catalogue().adjust_stock(path.product_id, body.change, key, version)
    response = _with_etag(product)
    if is_repeat:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.put("/reservations/<order_id>", responses={201: ReservationReply, 200: ReservationReply, 409: None})
@requires(SERVICE)
def reserve(path: ReservationPath, body: ReservationBody) -> Response:
    """Take the stock of all lines for an order, or of none: 201 if just now, 200 if it was taken before."""
    lines = [Line(line.product_id, line.quantity) for line in body.lines]
    reservation, is_new = _reservations().reserve(path.order_id, lines)
    response = json_response(ReservationReply, reservation)
    response.status_code = 201 if is_new else 200
    return response


@api.delete("/reservations/<order_id>", responses={204: None})
@requires(SERVICE)
def release(path: ReservationPath) -> Response:
    """Give the stock of an order back, once."""
    _reservations().release(path.order_id)
    return no_content()


@api.get("/reservations", responses={200: ReservationList})
@requires(SERVICE)
def list_reservations(query: ReservationQuery) -> Response:
    """List reservations, oldest first."""
    page = _reservations().older_than(query.older_than, limit=query.limit, cursor=query.cursor)
    return json_response(ReservationList, page)


def _catalogue() -> Catalogue:
    return cast(Catalogue, current_app.extensions["catalogue"])


def _reservations() -> Reservations:
    return cast(Reservations, current_app.extensions["reservations"])


def _with_etag(product: Product) -> Response:
    return _tagged(json_response(ProductReply, product), product)


def _tagged(response: Response, product: Product) -> Response:
    """Let caches keep an answer, and ask each time whether it still holds."""
    response.set_etag(product.etag)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _expected_version(product_id: str, key: str | None = None) -> int | None:
    """Return the version that the request demands, None for any. Raises NotFound, PreconditionFailed.

    A repeat by its idempotency key demands none: its first run has changed the version.
    """
    product = _catalogue().get(product_id)
    try:
        return product.version if check_conditions(product.etag) else None
    except PreconditionFailed:
        if key and _catalogue().has_stock_change(key):
            return None
        raise
