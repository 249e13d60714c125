"""The naive order service: check the stock, insert the order, write the stock back, publish without a confirm."""

import json
import os
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pika
import requests
from flask import Flask, request
from flask_jwt_extended import JWTManager, get_jwt, jwt_required

from tools.bench.baseline import connect_database


def create_app() -> Flask:
    """Return the WSGI app. It opens a connection for each call to the product service."""
    app = Flask(__name__)
    app.config.from_prefixed_env()  # FLASK_JWT_...: how user-service signs its access tokens
    JWTManager(app)
    orders, publish = connect_database().orders, _connect_publisher()
    products = os.environ["PRODUCT_SERVICE_URL"] + "/products"

    @app.post("/orders")
    @jwt_required()
    def place_order() -> tuple[dict[str, Any], int]:
        body = request.get_json()
        items = body.get("items") or [body]
        lines = [{**requests.get(f"{products}/{item['product_id']}", timeout=5).json(), **item} for item in items]
        if any(line["stock"] < line["quantity"] for line in lines):
            return {"error": "insufficient stock"}, 409
        order = _new_order(get_jwt(), lines)
        orders.insert_one(order)
        headers = {"Authorization": request.headers["Authorization"]}
        for line in lines:
            url, stock = f"{products}/{line['id']}/stock", {"stock": line["stock"] - line["quantity"]}
            requests.put(url, json=stock, headers=headers, timeout=5).raise_for_status()
        reply = {**order, "id": order["_id"], "created_at": order["created_at"].isoformat()}
        publish(reply)
        return reply, 201

    return app


def _new_order(user: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "_id": uuid.uuid4().hex,
        "status": "created",
        "user": {"id": user["sub"], "email": user["email"]},
        "lines": [{key: line[key] for key in ("product_id", "name", "price", "quantity")} for line in lines],
        "total": sum(line["price"] * line["quantity"] for line in lines),
        "created_at": datetime.now(UTC),
    }


def _connect_publisher() -> Callable[[dict[str, Any]], None]:
    parameters = pika.URLParameters(os.environ["RABBITMQ_URL"])
    parameters.heartbeat = 0  # nobody would answer heartbeats between two requests
    channel = pika.BlockingConnection(parameters).channel()
    channel.queue_declare(os.environ["QUEUE"], durable=True)
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    lock = threading.Lock()  # two threads must not use a pika channel at the same time

    def publish(event: dict[str, Any]) -> None:
        with lock:
            channel.basic_publish("", os.environ["QUEUE"], json.dumps(event).encode(), persistent)

    return publish
