"""The routes of product-service: parse, call, present.

The first line of a docstring is the route's summary in the API's description, the rest explains it there and names each
problem that is particular to the route by its `type`. A parameter named `body`, `query` or `path` is parsed and checked
before the view runs.
"""

from typing import cast

from flask import Response, current_app, request
from flask_openapi3 import APIBlueprint, Tag

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

CATALOGUE = Tag(name="Catalogue", description="What can be bought. Everybody reads it, administrators write it.")
STOCK = Tag(name="Stock", description="What is in stock. Administrators count, deliver and remove units.")
RESERVATIONS = Tag(name="Reservations (services only)", description="Stock that order-service holds for an order.")


@api.get("/products", tags=[CATALOGUE], responses={200: ProductList})
@public
def list_products(query: ProductQuery) -> Response:
    """List products.

    `q` finds words of the name by their beginning, whatever their case, accents and script.
    """
    criteria = ProductFilter(query.q, query.category, query.min_price, query.max_price, query.in_stock, query.sort)
    return json_response(ProductList, _catalogue().search(criteria, limit=query.limit, cursor=query.cursor))


@api.get("/products/<product_id>", tags=[CATALOGUE], responses={200: ProductReply, 304: None})
@public
def get_product(path: ProductPath) -> Response:
    """Get a product.

    Its stock is never stale. With `If-None-Match` and the current `ETag` the answer is 304, without a body.
    """
    product = _catalogue().get(path.product_id)
    if request.if_none_match.contains_weak(product.etag):
        return _tagged(Response(status=304), product)
    return _with_etag(product)


@api.post("/products", tags=[CATALOGUE], responses={201: ProductReply, 409: None})
@requires(ADMIN)
def add_product(body: ProductBody) -> Response:
    """Add a product.

    409 `sku-taken`: another product has this SKU. Spellings that look alike are the same SKU.
    """
    product = _catalogue().add(body.model_dump())
    return _tagged(created(json_response(ProductReply, product), f"/products/{product.id}"), product)


@api.put("/products/<product_id>", tags=[CATALOGUE], responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def replace_product(path: ProductPath, body: ProductBody) -> Response:
    """Replace a product.

    `stock` is a stock-take: it overwrites the current stock.
    409 `sku-taken`: another product has this SKU.
    412 `precondition-failed`: the product does not have the `ETag` in `If-Match`, which covers its stock.
    """
    version = _expected_version(path.product_id)
    return _with_etag(_catalogue().change(path.product_id, body.model_dump(), version))


@api.patch("/products/<product_id>", tags=[CATALOGUE], responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def change_product(path: ProductPath, body: ProductPatch) -> Response:
    """Change some attributes of a product.

    `stock` is a stock-take: it overwrites the current stock. null clears an optional attribute.
    409 `sku-taken`: another product has this SKU.
    412 `precondition-failed`: the product does not have the `ETag` in `If-Match`, which covers its stock.
    """
    version = _expected_version(path.product_id)
    return _with_etag(_catalogue().change(path.product_id, body.model_dump(exclude_unset=True), version))


@api.delete("/products/<product_id>", tags=[CATALOGUE], responses={204: None, 412: None})
@conditional
@requires(ADMIN)
def archive_product(path: ProductPath) -> Response:
    """Archive a product.

    It can no longer be found or bought. Past orders keep its name and price, and returned units still reach it.
    412 `precondition-failed`: the product does not have the `ETag` in `If-Match`, which covers its stock.
    """
    _catalogue().archive(path.product_id, _expected_version(path.product_id))
    return no_content()


@api.post("/products/<product_id>/stock", tags=[STOCK], responses={200: ProductReply, 409: None, 412: None})
@conditional
@requires(ADMIN)
def adjust_stock(path: ProductPath, body: StockChangeBody) -> Response:
    """Add units to the stock, or remove some.

    With an `Idempotency-Key` it is done once: a repeat answers with the product as it is now.
    409 `insufficient-stock`: the stock would fall below 0 or exceed 1000000000.
    412 `precondition-failed`: the product does not have the `ETag` in `If-Match`, which covers its stock.
    422 `invalid-input`: among others, the key was used for another change.
    """
    key = idempotency_key()
    key = f"{caller().id}:{key}" if key else None
    version = _expected_version(path.product_id, key)
    product, is_repeat = _catalogue().adjust_stock(path.product_id, body.change, key, version)
    response = _with_etag(product)
    if is_repeat:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.put(
    "/reservations/<order_id>",
    tags=[RESERVATIONS],
    responses={201: ReservationReply, 200: ReservationReply, 409: None},
)
@requires(SERVICE)
def reserve(path: ReservationPath, body: ReservationBody) -> Response:
    """Reserve the stock of all lines for an order, or of none.

    201: reserved just now. 200: reserved before, with the same lines. A refusal is final for its order id.
    409 `insufficient-stock`: `lines` has each product with the requested and the available units.
    409 `reservation-differs`: the order id was used with other lines.
    409 `reservation-released`: the reservation was released, perhaps before this request arrived.
    422 `unknown-product`: `errors` names each product that is not for sale.
    """
    lines = [Line(line.product_id, line.quantity) for line in body.lines]
    reservation, is_new = _reservations().reserve(path.order_id, lines)
    response = json_response(ReservationReply, reservation)
    response.status_code = 201 if is_new else 200
    return response


@api.delete("/reservations/<order_id>", tags=[RESERVATIONS], responses={204: None})
@requires(SERVICE)
def release(path: ReservationPath) -> Response:
    """Release the stock of an order.

    It returns once, however often this is sent. Without a reservation a tombstone refuses a late one for 7 days.
    """
    _reservations().release(path.order_id)
    return no_content()


@api.get("/reservations", tags=[RESERVATIONS], responses={200: ReservationList})
@requires(SERVICE)
def list_reservations(query: ReservationQuery) -> Response:
    """List reservations, oldest first.

    order-service compares them with its orders. A cursor can be kept to go on later.
    """
    page = _reservations().older_than(query.older_than, limit=query.limit, cursor=query.cursor)
    return json_response(ReservationList, page)


def _catalogue() -> Catalogue:
    return cast(Catalogue, current_app.extensions["catalogue"])


def _reservations() -> Reservations:
    return cast(Reservations, current_app.extensions["reservations"])


def _with_etag(product: Product) -> Response:
    return _tagged(json_response(ProductReply, product), product)


def _tagged(response: Response, product: Product) -> Response:
    """Let caches keep an answer, if they ask each time whether it is still valid."""
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
