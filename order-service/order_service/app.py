"""order-service places orders: it reserves the stock under the order's id, then writes the order once."""

from collections.abc import Callable

from chassis import mongo
from chassis.auth.client_credentials import ClientCredentials
from chassis.auth.jwks import JwksClient
from chassis.service import create_service
from chassis.web.app import App
from order_service.api import api
from order_service.config import Settings
from order_service.orders import Orders
from order_service.payment.factory import make_provider, make_webhook
from order_service.payment.limits import CallLimiter
from order_service.payment.model import PaymentTerms
from order_service.payment.provider import PaymentProvider
from order_service.payments import Payments
from order_service.product_client import ProductClient
from order_service.store import OrderStore, PaymentStore


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "order-service")
    clock = mongo.DatabaseClock(database)
    store = OrderStore(database, clock)
    keys = JwksClient(settings.jwks_url)
    token = ClientCredentials(settings.token_url, settings.client_id, settings.client_secret)
    products = ProductClient(settings.product_service_url, token, max_concurrent=max(1, settings.web_threads // 2))
    provider = make_provider(settings, database, clock)
    limiter = CallLimiter(max(1, settings.web_threads // 4), name="payment-provider")
    terms = PaymentTerms(is_required=provider is not None, minutes=settings.payment_minutes)
    orders = Orders(store, products, clock, terms)
    payments = Payments(orders, PaymentStore(database, clock), provider, limiter, clock)
    return create_service(
        "order_service",
        __doc__ or "",
        settings,
        api,
        collaborators={"orders": orders, "payments": payments, "stripe_webhook": make_webhook(settings)},
        keys=keys,
        prepare=store.ensure_indexes,
        ping=store.ping,
        dependencies=_dependencies(products, keys, token, provider),
    )


def _dependencies(
    products: ProductClient, keys: JwksClient, token: ClientCredentials, provider: PaymentProvider | None
) -> dict[str, Callable[[], None]]:
    """Return the checks of what this service calls, by name."""

    def check_user_service() -> None:
        keys.check()
        token.check()

    checks = {"product-service": products.check, "user-service": check_user_service}
    if provider is None:
        return checks
    limiter = CallLimiter(1)  # of its own: payments that are slow do not mean that the provider is down

    def check_provider() -> None:
        with limiter.place() as place:
            place.call(provider.check)

    return {**checks, "payment-provider": check_provider}
