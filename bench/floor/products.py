"""The floor's product service: a transaction that takes stock, and one find by `_id`."""

import os
from typing import Any

from flask import Flask, request
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from bench.floor.orders import LINE
from bench.tokens import check_each_once


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    check_each_once(app)
    client = MongoClient[dict[str, Any]](os.environ["MONGO_URL"])
    database = client.get_default_database()

    @app.put("/reservations/<order_id>")
    def reserve(order_id: str) -> tuple[dict[str, Any], int]:
        items = request.get_json()["items"]

        def take(session: ClientSession) -> None:
            for item in items:
                enough = {"_id": item["product_id"], "stock": {"$gte": item["quantity"]}}
                database.products.update_one(enough, {"$inc": {"stock": -item["quantity"]}}, session=session)
            database.reservations.insert_one({"_id": order_id, "lines": [LINE] * len(items)}, session=session)

        with client.start_session() as session:
            session.with_transaction(take)
        return {"order_id": order_id}, 201

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> dict[str, Any]:
        database.products.find_one({"_id": product_id})
        return {}

    return app
