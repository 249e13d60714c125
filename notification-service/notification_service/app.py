"""notification-service turns events into e-mail and SMS, and keeps the history of what it sent."""

from chassis import mongo
from chassis.auth.jwks import JwksClient
from chassis.service import create_service
from chassis.web.app import App
from notification_service.api import api
from notification_service.config import Settings
from notification_service.notifications import History
from notification_service.store import NotificationStore


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "notification-service")
    store = NotificationStore(database, mongo.DatabaseClock(database))
    keys = JwksClient(settings.jwks_url)
    return create_service(
        "notification_service",
        __doc__ or "",
        settings,
        api,
        collaborators={"history": History(store)},
        keys=keys,
        prepare=store.prepare,
        ping=store.ping,
        dependencies={"user-service": keys.check},
    )
