"""The floor's consumer: claim, mark as sent and acknowledge all that has arrived. `python -m bench.floor.consumer`."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import pika
from pymongo import MongoClient

from bench.floor.orders import BATCH, QUORUM


def main() -> None:
    """Consume until killed."""
    notifications = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().notifications
    arrived: list[tuple[int, str]] = []

    def take(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        arrived.append((method.delivery_tag, json.loads(body)["id"]))

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.queue_declare(os.environ["QUEUE"], durable=True, arguments=QUORUM)
    channel.basic_qos(prefetch_count=BATCH)
    channel.basic_consume(os.environ["QUEUE"], take)
    while True:
        connection.process_data_events(time_limit=None)
        if arrived:
            claim = {"status": "sending", "body": "x" * 200, "created_at": datetime.now(UTC)}
            notifications.insert_many([{**claim, "_id": order_id, "order_id": order_id} for _, order_id in arrived])
            wanted = {"_id": {"$in": [order_id for _, order_id in arrived]}}
            notifications.update_many(wanted, {"$set": {"status": "sent"}})
            channel.basic_ack(max(tag for tag, _ in arrived), multiple=True)
            arrived.clear()


if __name__ == "__main__":
    main()
