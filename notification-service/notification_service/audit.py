"""What notification-service knows of its history: `python -m notification_service.audit`, see `chassis.audit_export`.

It needs what the consumer is told, because the dead letters are counted as well.
"""

import sys
from contextlib import closing

from chassis import audit_export, mongo
from chassis.amqp import FAILURES
from notification_service import config, dead_letters
from notification_service.publisher import connect
from notification_service.store import NotificationStore


def main() -> None:
    """Print each notification's event, channel, state, age and whose it is, never an address or a text."""
    settings = config.ConsumerSettings.load()
    database = mongo.connect(settings.mongo_url, "notification-audit", timeout=60)
    audit_export.write(NotificationStore(database, mongo.DatabaseClock(database)).audit_records())
    try:
        with closing(connect(settings.rabbitmq_url)) as connection:
            audit_export.write([{"kind": "dead_letters", "count": dead_letters.count(connection.channel())}])
    except FAILURES as exc:
        sys.stderr.write(f"dead letters are not counted: RabbitMQ: {type(exc).__name__}\n")


if __name__ == "__main__":
    main()
