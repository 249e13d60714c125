"""notification-service turns events into e-mail and SMS, and keeps the history of what it sent."""

from chassis import mongo
from chassis.auth.jwks import JwksClient
from chassis.service import create_service
from chassis.web.app import App
from notification_service.api import api
from notification_service.config import Settings
from notification_service.history import NotificationHistory


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "notification-service")
    history = NotificationHistory(database)
    keys = JwksClient(settings.jwks_url)
    return create_service(
        "notification_service",
        __doc__ or "",
        settings,
        api,
        collaborators={"history": history},
        keys=keys,
        prepare=history.ensure_indexes,
        ping=history.ping,
        dependencies={"user-service": keys.check},
    )
