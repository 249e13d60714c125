"""The naive consumer: one insert per message, then an acknowledgement. `python -m tools.bench.baseline.consumer`."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

import pika

from tools.bench.baseline import connect_database


def main() -> None:
    """Consume until the process is killed."""
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("pika").setLevel(logging.WARNING)
    notifications = connect_database().notifications

    def handle(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        order = json.loads(body)
        text = f"Thank you for order {order['id']}: {order['total']}"
        notification = {"order_id": order["id"], "user_id": order["user"]["id"], "channel": "email", "body": text}
        notifications.insert_one({**notification, "created_at": datetime.now(UTC)})
        logging.info("e-mail for order %s sent", order["id"])
        channel.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"])).channel()
    channel.queue_declare(os.environ["QUEUE"], durable=True)
    channel.basic_qos(prefetch_count=16)
    channel.basic_consume(os.environ["QUEUE"], handle)
    channel.start_consuming()


if __name__ == "__main__":
    main()
