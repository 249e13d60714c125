"""order-service: places orders: the stock first, by a reservation under the order's id, then the order in one write."""

from flask_openapi3 import OpenAPI

from chassis import auth, docs, health, logs, mongo, web
from chassis.tokens import RemoteKeys, ServiceToken
from order_service import api, config
from order_service.orders import Orders
from order_service.products import ProductClient
from order_service.store import OrderStore


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("order-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "order-service")
    clock = mongo.DatabaseClock(database)
    store = OrderStore(database, clock)
    token = ServiceToken(settings.token_url, settings.client_id, settings.client_secret)
    products = ProductClient(settings.product_service_url, token, slots=max(1, settings.web_threads // 2))
    keys = RemoteKeys(settings.jwks_url)

    app = web.make_app(
        "order_service",
        "order-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions["orders"] = Orders(store, products, clock)
    auth.install(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api.api)

    def check_user_service() -> None:
        keys.check()
        token.check()

    health.add_health(
        app, store.prepare, store.ping, {"product-service": products.check, "user-service": check_user_service}
    )
    docs.add_docs(app)
    return app
