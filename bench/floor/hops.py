"""Two empty Flask hops, each with a token check, and a route that does one find by `_id`.

`create_front()` answers `POST /orders` by calling `PUT /reservations/1` of `create_back()`; nothing is stored.
"""

import os
from typing import Any

import requests
from flask import Flask
from flask_jwt_extended import jwt_required
from pymongo import MongoClient

from bench.baseline import tokens


def create_front() -> Flask:
    """Return the app that a client calls."""
    app = Flask(__name__)
    tokens.install(app)
    session = requests.Session()
    session.trust_env = False
    back = os.environ["BACK_URL"]
    headers = {"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"}

    @app.post("/orders")
    @jwt_required()
    def place_order() -> tuple[dict[str, Any], int]:
        answer = session.put(f"{back}/reservations/1", headers=headers, timeout=5)
        return answer.json(), 201

    return app


def create_back() -> Flask:
    """Return the app that the other one calls, with the route that reads a product."""
    app = Flask(__name__)
    tokens.install(app)
    products = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().products

    @app.put("/reservations/<order_id>")
    @jwt_required()
    def reserve(order_id: str) -> dict[str, Any]:
        return {"order_id": order_id}

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> dict[str, Any]:
        products.find_one({"_id": product_id})
        return {}

    return app
