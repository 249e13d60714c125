"""notification-service: turns events into e-mail and SMS, and keeps the history of what was sent."""

from flask_openapi3 import OpenAPI

from chassis import logs, mongo
from chassis.auth import access
from chassis.auth.jwks import JwksClient
from chassis.web import docs, health
from chassis.web.app import make_app
from notification_service import api, config
from notification_service.history import NotificationHistory


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("notification-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "notification-service")
    history = NotificationHistory(database)
    keys = JwksClient(settings.jwks_url)

    app = make_app(
        "notification_service",
        "notification-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions["history"] = history
    access.init_app(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api.api)
    health.init_app(app, history.ensure_indexes, history.ping, {"user-service": keys.check})
    docs.init_app(app)
    return app
