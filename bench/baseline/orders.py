"""The naive order service: look at the stock, insert the order, write the stock back, publish and hope."""

import json
import os
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

import pika
import requests
from flask import Flask, Response, jsonify, request
from flask_jwt_extended import get_jwt, jwt_required
from pymongo import MongoClient

from bench.baseline import tokens


def create_app() -> Flask:
    """Return the WSGI app. `KEEP_CONNECTIONS` makes it a little less naive: calls share their connections."""
    app = Flask(__name__)
    tokens.init_app(app)
    orders = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().orders
    products = os.environ["PRODUCT_SERVICE_URL"] + "/products"
    http: Any = requests.Session() if os.environ.get("KEEP_CONNECTIONS") else requests
    publisher = Publisher(os.environ["RABBITMQ_URL"])

    @app.post("/orders")
    @jwt_required()
    def place_order() -> tuple[Response, int]:
        body, user = request.get_json(), get_jwt()
        items = body.get("items") or [body]
        found = [http.get(f"{products}/{item['product_id']}", timeout=5).json() for item in items]
        if any(product["stock"] < item["quantity"] for product, item in zip(found, items, strict=True)):
            return jsonify(error="insufficient stock"), 409
        order = _order(user, found, items)
        orders.insert_one(order)
        headers = {"Authorization": request.headers["Authorization"]}
        for product, item in zip(found, items, strict=True):
            left = {"stock": product["stock"] - item["quantity"]}
            http.put(f"{products}/{product['id']}/stock", json=left, headers=headers, timeout=5).raise_for_status()
        reply = {**order, "id": order["_id"], "created_at": order["created_at"].isoformat()}
        publisher.publish(reply)
        return jsonify(reply), 201

    return app


def _order(user: dict[str, Any], found: list[dict[str, Any]], items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "_id": uuid.uuid4().hex,
        "status": "created",
        "user": {"id": user["sub"], "email": user["email"]},
        "lines": [
            {"product_id": p["id"], "name": p["name"], "price": p["price"], "quantity": item["quantity"]}
            for p, item in zip(found, items, strict=True)
        ],
        "total": sum(p["price"] * item["quantity"] for p, item in zip(found, items, strict=True)),
        "created_at": datetime.now(UTC),
    }


class Publisher:
    """Publishes under a lock, because pika's connections are not safe to share between threads."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = 0  # nobody would answer them between two requests
        self._lock = threading.Lock()
        self._queue = os.environ["QUEUE"]
        self._channel: Any = None

    def publish(self, event: dict[str, Any]) -> None:
        """Hand an event to the connection; whether it arrives, nobody knows."""
        with self._lock:
            if self._channel is None:
                self._channel = pika.BlockingConnection(self._parameters).channel()
                self._channel.queue_declare(self._queue, durable=True)
            properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
            self._channel.basic_publish("", self._queue, json.dumps(event).encode(), properties)
