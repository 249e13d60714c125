"""product-service: the catalogue and its stock, taken and given back in transactions."""

from flask_openapi3 import OpenAPI

from chassis import logs, mongo
from chassis.auth import access
from chassis.auth.jwks import JwksClient
from chassis.web import docs, health
from chassis.web.app import make_app
from product_service import api, config
from product_service.catalogue import Catalogue
from product_service.demo import DEMO_PRODUCTS
from product_service.reservations import Reservations
from product_service.store import Indexes, ProductStore, ReservationStore, Transactions


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("product-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "product-service")
    clock = mongo.DatabaseClock(database)
    transactions = Transactions(database)
    products = ProductStore(database, clock, transactions)
    catalogue = Catalogue(products, settings.currency)
    keys = JwksClient(settings.jwks_url)

    app = make_app(
        "product_service",
        "product-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions["catalogue"] = catalogue
    app.extensions["reservations"] = Reservations(ReservationStore(database, clock, transactions))
    access.init_app(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api.api)

    def prepare_database() -> None:
        Indexes(database).ensure_indexes()
        if settings.demo_products:
            catalogue.seed_demo(DEMO_PRODUCTS)

    health.init_app(app, prepare_database, products.ping, {"user-service": keys.check})
    docs.init_app(app)
    return app
