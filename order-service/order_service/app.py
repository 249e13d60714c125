"""order-service: places orders: the stock first, by a reservation under the order's id, then the order in one write."""

from flask_openapi3 import OpenAPI

from chassis import logs, mongo
from chassis.auth import access
from chassis.auth.client_credentials import ClientCredentials
from chassis.auth.jwks import JwksClient
from chassis.web import docs, health
from chassis.web.app import make_app
from order_service import api, config
from order_service.orders import Orders
from order_service.product_client import ProductClient
from order_service.store import OrderStore


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("order-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "order-service")
    clock = mongo.DatabaseClock(database)
    store = OrderStore(database, clock)
    token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    products = ProductClient(settings.product_service_url, token, max_concurrent=max(1, settings.web_threads // 2))
    keys = JwksClient(settings.jwks_url)

    app = make_app(
        "order_service",
        "order-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions["orders"] = Orders(store, products, clock)
    access.init_app(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api.api)

    def check_user_service() -> None:
        keys.check()
        token.check()

    health.init_app(
        app, store.ensure_indexes, store.ping, {"product-service": products.check, "user-service": check_user_service}
    )
    docs.init_app(app)
    return app
