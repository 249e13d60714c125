"""What notification-service knows of its history: `python -m notification_service.audit`, see `chassis.facts`."""

from chassis import facts, mongo
from notification_service import config
from notification_service.store import NotificationStore


def main() -> None:
    """Print each notification's event, channel, state and whose it is; never an address or a text."""
    database = mongo.connect(config.load_mongo_url(), "notification-audit", timeout=60)
    facts.write(NotificationStore(database, mongo.DatabaseClock(database)).facts())


if __name__ == "__main__":
    main()
