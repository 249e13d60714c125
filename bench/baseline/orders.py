"""The naive order service: look at the stock, insert the order, write the stock back, publish and hope."""

import os
import uuid
from datetime import UTC, datetime
from typing import Any

import requests
from flask import Flask, Response, jsonify, request
from flask_jwt_extended import get_jwt, jwt_required
from pymongo import MongoClient

from bench import tokens
from bench.baseline.publisher import Publisher


def create_app() -> Flask:
    """Return the WSGI app. `KEEP_CONNECTIONS` makes it a little less naive: calls share their connections."""
    app = Flask(__name__)
    tokens.install(app)
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
