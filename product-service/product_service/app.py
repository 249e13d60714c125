"""product-service owns the catalogue and its stock, which transactions reserve and release."""

from chassis import mongo
from chassis.auth.jwks import JwksClient
from chassis.service import create_service
from chassis.web.app import App
from product_service.api import api
from product_service.catalogue import Catalogue
from product_service.config import Settings
from product_service.demo import DEMO_PRODUCTS
from product_service.reservations import Reservations
from product_service.store import Indexes, ProductStore, ReservationStore, Transactions


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "product-service")
    clock = mongo.DatabaseClock(database)
    transactions = Transactions(database)
    products = ProductStore(database, clock, transactions)
    catalogue = Catalogue(products, settings.currency)
    reservations = Reservations(ReservationStore(database, clock, transactions))
    keys = JwksClient(settings.jwks_url)

    def prepare() -> None:
        Indexes(database).ensure_indexes()
        if settings.demo_products:
            catalogue.seed_demo(DEMO_PRODUCTS)

    return create_service(
        "product_service",
        __doc__ or "",
        settings,
        api,
        collaborators={"catalogue": catalogue, "reservations": reservations},
        keys=keys,
        prepare=prepare,
        ping=products.ping,
        dependencies={"user-service": keys.check},
    )
