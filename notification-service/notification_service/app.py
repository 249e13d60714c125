"""notification-service: turns events into e-mail and SMS, and keeps the history of what was sent."""

from flask_openapi3 import OpenAPI

from chassis import auth, docs, health, logs, mongo, web
from chassis.tokens import RemoteKeys
from notification_service import api, config
from notification_service.notifications import History
from notification_service.store import NotificationStore


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("notification-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "notification-service")
    store = NotificationStore(database, mongo.DatabaseClock(database))
    keys = RemoteKeys(settings.jwks_url)

    app = web.make_app(
        "notification_service",
        "notification-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions["history"] = History(store)
    auth.install(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api.api)
    health.add_health(app, store.prepare, store.ping, {"user-service": keys.check})
    docs.add_docs(app)
    return app
