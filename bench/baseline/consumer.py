"""The naive consumer: one insert per message, then an acknowledgement. `python -m bench.baseline.consumer`."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

import pika
from pymongo import MongoClient


def main() -> None:
    """Consume until killed."""
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("pika").setLevel(logging.WARNING)
    notifications = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().notifications

    def take(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        order = json.loads(body)
        text = f"Thank you for order {order['id']}: {order['total']}"
        sent = {"order_id": order["id"], "user_id": order["user"]["id"], "channel": "email", "body": text}
        notifications.insert_one({**sent, "created_at": datetime.now(UTC)})
        logging.info("sent an e-mail for order %s", order["id"])
        channel.basic_ack(method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.queue_declare(os.environ["QUEUE"], durable=True)
    channel.basic_qos(prefetch_count=16)
    channel.basic_consume(os.environ["QUEUE"], take)
    channel.start_consuming()


if __name__ == "__main__":
    main()
