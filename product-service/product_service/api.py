"""The routes of product-service: parse, call, present.

The first line of a docstring is the route's summary in the API's description, the rest explains it there. `@raises`
describes the problems that are special to the route. A parameter named `body`, `query` or `path` is parsed and checked
before the view runs.
"""

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, SERVICE, caller, public, requires
from chassis.errors import PreconditionFailed
from chassis.service import collaborator
from chassis.web.conditions import check_conditions, conditional
from chassis.web.docs import raises
from chassis.web.headers import idempotency_key
from chassis.web.responses import created, json_response, no_content
from product_service import model, reservation_schemas, schemas
from product_service.catalogue import Catalogue
from product_service.reservations import Reservations

api = APIBlueprint("products", __name__)
catalogue: Catalogue = collaborator("catalogue")
reservations: Reservations = collaborator("reservations")

CATALOGUE = Tag(name="Catalogue", description="Everybody reads it, administrators write. An `ETag` covers the stock.")
STOCK = Tag(name="Stock", description="Administrators add units that arrive, and remove units that are lost.")
RESERVATIONS = Tag(name="Reservations (services only)", description="Stock that order-service holds for an order.")


@api.get("/products", tags=[CATALOGUE], responses={200: schemas.ProductList})
@public
def list_products(query: schemas.ProductQuery) -> Response:
    """List products.

    `q` finds words of the name by their beginning, whatever their case, accents and script.
    """
    return json_response(
        schemas.ProductList, catalogue.search(query.criteria(), limit=query.page_size, cursor=query.cursor)
    )


@api.get("/categories", tags=[CATALOGUE], responses={200: schemas.CategoryList})
@public
def list_categories() -> Response:
    """List the categories of what is for sale, by name.

    Products without a category are not counted.
    """
    return json_response(schemas.CategoryList, {"items": catalogue.categories()})


@api.get("/products/<product_id>", tags=[CATALOGUE], responses={200: schemas.ProductReply, 304: None})
@public
def get_product(path: schemas.ProductPath) -> Response:
    """Get a product.

    Its stock is never stale. With `If-None-Match` and the current `ETag` the answer is 304, without a body.
    """
    product = catalogue.get(path.product_id)
    is_known = request.if_none_match.contains_weak(product.etag)
    return _with_etag(product, Response(status=304) if is_known else None)


@api.post("/products", tags=[CATALOGUE], responses={201: schemas.ProductReply})
@requires(ADMIN)
@raises(model.SkuTaken)
def add_product(body: schemas.ProductBody) -> Response:
    """Add a product.

    SKUs that look alike are the same SKU.
    """
    product = catalogue.add(body.model_dump())
    return created(_with_etag(product), f"/products/{product.id}")


@api.put("/products/<product_id>", tags=[CATALOGUE], responses={200: schemas.ProductReply})
@conditional
@requires(ADMIN)
@raises(model.SkuTaken)
def replace_product(path: schemas.ProductPath, body: schemas.ProductBody) -> Response:
    """Replace a product.

    `stock` is a stock-take: it overwrites the stock.
    """
    version = _expected_version(path.product_id)
    return _with_etag(catalogue.change(path.product_id, body.model_dump(), version))


@api.patch("/products/<product_id>", tags=[CATALOGUE], responses={200: schemas.ProductReply})
@conditional
@requires(ADMIN)
@raises(model.SkuTaken)
def change_product(path: schemas.ProductPath, body: schemas.ProductPatch) -> Response:
    """Change some attributes of a product.

    `stock` is a stock-take: it overwrites the stock. null clears an optional attribute.
    """
    version = _expected_version(path.product_id)
    return _with_etag(catalogue.change(path.product_id, body.model_dump(exclude_unset=True), version))


@api.delete("/products/<product_id>", tags=[CATALOGUE], responses={204: None})
@conditional
@requires(ADMIN)
def remove_product(path: schemas.ProductPath) -> Response:
    """Archive a product.

    It can no longer be found or bought. Past orders keep its name and price, and returned units still reach it.
    """
    catalogue.archive(path.product_id, _expected_version(path.product_id))
    return no_content()


@api.post("/products/<product_id>/stock", tags=[STOCK], responses={200: schemas.ProductReply})
@conditional
@requires(ADMIN)
@raises(model.StockOutOfBounds)
def adjust_stock(path: schemas.ProductPath, body: schemas.StockChangeBody) -> Response:
    """Add units to the stock, or remove some.

    With an `Idempotency-Key` it is done once: a repeat answers with the product as it is now.
    """
    key = idempotency_key()
    key = f"{caller().id}:{key}" if key else None
    version = _expected_version(path.product_id, key)
    product, is_repeat = catalogue.adjust_stock(path.product_id, body.change, key, version)
    response = _with_etag(product)
    if is_repeat:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@api.put(
    "/reservations/<order_id>",
    tags=[RESERVATIONS],
    responses={201: reservation_schemas.ReservationReply, 200: reservation_schemas.ReservationReply},
)
@requires(SERVICE)
@raises(model.InsufficientStock, model.ReservationMismatch, model.ReservationReleased, model.UnknownProduct)
def reserve(path: reservation_schemas.ReservationPath, body: reservation_schemas.ReservationBody) -> Response:
    """Reserve the stock of all lines for an order, or of none.

    201: reserved just now. 200: reserved before, with the same lines. A refusal is final for its order id.
    """
    lines = [model.Line(line.product_id, line.quantity) for line in body.lines]
    reservation, is_new = reservations.reserve(path.order_id, lines)
    response = json_response(reservation_schemas.ReservationReply, reservation)
    response.status_code = 201 if is_new else 200
    return response


@api.delete("/reservations/<order_id>", tags=[RESERVATIONS], responses={204: None})
@requires(SERVICE)
def release(path: reservation_schemas.ReservationPath) -> Response:
    """Release the stock of an order.

    It returns once, however often this is sent. Without a reservation a tombstone refuses a late one for 7 days.
    """
    reservations.release(path.order_id)
    return no_content()


@api.get("/reservations", tags=[RESERVATIONS], responses={200: reservation_schemas.ReservationList})
@requires(SERVICE)
def list_reservations(query: reservation_schemas.ReservationQuery) -> Response:
    """List reservations, oldest first.

    order-service compares them with its orders. A cursor can be kept to go on later.
    """
    page = reservations.older_than(query.older_than, limit=query.limit, cursor=query.cursor)
    return json_response(reservation_schemas.ReservationList, page)


def _with_etag(product: model.Product, response: Response | None = None) -> Response:
    """Return the product, or another response about it. Caches must ask each time whether it is still valid."""
    response = response or json_response(schemas.ProductReply, product)
    response.set_etag(product.etag)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _expected_version(product_id: str, key: str | None = None) -> int | None:
    """Return the version that the request demands, None for any. Raises NotFound, PreconditionFailed.

    A repeat with the same idempotency key demands none: the first request has changed the version.
    """
    product = catalogue.get(product_id)
    try:
        return product.version if check_conditions(product.etag) else None
    except PreconditionFailed:
        if key and catalogue.has_stock_change(key):
            return None
        raise
