"""The floor's order service: reserve, insert the order with its outbox, publish with confirms in the background."""

import json
import os
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import pika
import urllib3
from flask import Flask, request
from pymongo import MongoClient
from pymongo.collection import Collection

from bench.tokens import check_each_once

USER = {"id": "u" * 32, "email": "customer@example.com"}
LINE = {"product_id": "p" * 32, "name": "a product", "unit_price": 1990, "quantity": 1}
EVENT = {"type": "order_created", "data": {"user": USER, "lines": [LINE], "total": 1990, "currency": "EUR"}}
ORDER = {"status": "confirmed", "user": USER, "lines": [LINE], "fingerprint": "f" * 64, "outbox": [EVENT]}
QUORUM = {"x-queue-type": "quorum"}  # replicated, as the shop's queue
LANES, BATCH, PAUSE = 2, 100, 0.1


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    check_each_once(app)
    orders = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().orders
    http = urllib3.PoolManager(maxsize=32, retries=False)
    headers = {"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"}
    waiting = SimpleQueue[str]()
    for _ in range(LANES):
        threading.Thread(target=_relay, args=(waiting, orders), daemon=True).start()

    @app.post("/orders")
    def place_order() -> tuple[dict[str, Any], int]:
        order_id, body = uuid.uuid4().hex, request.get_json()
        url = f"{os.environ['PRODUCT_SERVICE_URL']}/reservations/{order_id}"
        answer = http.request("PUT", url, json={"items": body.get("items") or [body]}, headers=headers, timeout=5)
        if answer.status != 201:
            raise RuntimeError(f"status {answer.status}")
        orders.insert_one({**ORDER, "_id": order_id, "created_at": datetime.now(UTC)})
        waiting.put(order_id)
        return {"id": order_id}, 201

    return app


def _relay(waiting: SimpleQueue[str], orders: Collection[dict[str, Any]]) -> None:
    """Publish the events of orders; one write empties the outboxes of all that come within a pause."""
    parameters = pika.URLParameters(os.environ["RABBITMQ_URL"])
    parameters.heartbeat = 0  # nobody would answer them between two orders
    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()
    channel.queue_declare(os.environ["QUEUE"], durable=True, arguments=QUORUM)
    properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    while True:
        order_ids = [waiting.get()]
        time.sleep(PAUSE)
        with suppress(Empty):
            while len(order_ids) < BATCH:
                order_ids.append(waiting.get_nowait())
        for order_id in order_ids:
            body = json.dumps({**EVENT, "id": order_id}).encode()
            channel.basic_publish("", os.environ["QUEUE"], body, properties, mandatory=True)
        orders.update_many({"_id": {"$in": order_ids}}, {"$set": {"outbox": []}})
