"""The records of notification-service: `python -m notification_service.audit [--order ID]`, see `chassis.audit_export`.

It needs the settings of the consumer, because for an audit it also counts the dead letters.
"""

import sys
from contextlib import closing

from chassis import audit_export, mongo
from chassis.amqp import FAILURES
from notification_service import config, dead_letters
from notification_service.history import NotificationHistory
from notification_service.messages import connect


def main() -> None:
    """Print a record for each notification, without addresses and texts, and the number of dead letters.

    With `--order`, print all of each notification of that order instead.
    """
    order_id = audit_export.order_option()
    settings = config.ConsumerSettings.load()
    history = NotificationHistory(mongo.connect(settings.mongo_url, "notification-audit", timeout=60))
    if order_id is None:
        audit_export.write(history.audit_records())
        _count_dead_letters(settings.rabbitmq_url)
    else:
        audit_export.write(history.order_records(order_id))


def _count_dead_letters(rabbitmq_url: str) -> None:
    try:
        with closing(connect(rabbitmq_url)) as connection:
            audit_export.write([{"kind": "dead_letters", "count": dead_letters.count(connection.channel())}])
    except FAILURES as exc:
        sys.stderr.write(f"dead letters not counted: RabbitMQ does not answer: {type(exc).__name__}\n")


if __name__ == "__main__":
    main()
