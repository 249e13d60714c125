"""The product service of the floor, and the same without its writes: an empty hop."""

import os
from typing import Any

from flask import Flask, request
from pymongo import MongoClient

from bench.floor import tokens
from bench.floor.operations import Operations


def create_app() -> Flask:
    """Return the app that takes stock, with the route that does one find by `_id`."""
    app = Flask(__name__)
    tokens.install(app)
    database = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database()
    operations = Operations(database)

    @app.put("/reservations/<order_id>")
    def reserve(order_id: str) -> dict[str, Any]:
        operations.take(order_id, request.get_json()["product_id"])
        return {"order_id": order_id}

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> dict[str, Any]:
        database.products.find_one({"_id": product_id})
        return {}

    return app


def create_hop() -> Flask:
    """Return the app that only answers."""
    app = Flask(__name__)
    tokens.install(app)

    @app.put("/reservations/<order_id>")
    def reserve(order_id: str) -> dict[str, Any]:
        return {"order_id": order_id}

    return app
