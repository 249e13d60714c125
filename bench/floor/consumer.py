"""The consumer of the floor: claim, mark as sent, acknowledge. `python -m bench.floor.consumer`."""

import json
import os
from typing import Any

import pika
from pymongo import MongoClient

from bench.floor.operations import Operations
from bench.floor.relay import declare


def main() -> None:
    """Consume until killed."""
    operations = Operations(MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database())

    def take(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        order_id = json.loads(body)["id"]
        operations.claim(order_id)
        operations.sent(order_id)
        channel.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"])).channel()
    declare(channel, os.environ["QUEUE"])
    channel.basic_qos(prefetch_count=16)
    channel.basic_consume(os.environ["QUEUE"], take)
    channel.start_consuming()


if __name__ == "__main__":
    main()
