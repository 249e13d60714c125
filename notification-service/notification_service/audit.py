"""The audit records of notification-service: `python -m notification_service.audit`, see `chassis.audit_export`.

It needs the settings of the consumer, because it also counts the dead letters.
"""

import sys
from contextlib import closing

from chassis import audit_export, mongo
from chassis.amqp import FAILURES
from notification_service import config, dead_letters
from notification_service.history import NotificationHistory
from notification_service.messages import connect


def main() -> None:
    """Print a record for each notification, without addresses and texts, and the number of dead letters."""
    settings = config.ConsumerSettings.load()
    database = mongo.connect(settings.mongo_url, "notification-audit", timeout=60)
    audit_export.write(NotificationHistory(database).audit_records())
    try:
        with closing(connect(settings.rabbitmq_url)) as connection:
            audit_export.write([{"kind": "dead_letters", "count": dead_letters.count(connection.channel())}])
    except FAILURES as exc:
        sys.stderr.write(f"dead letters not counted: RabbitMQ does not answer: {type(exc).__name__}\n")


if __name__ == "__main__":
    main()
