"""The floor of a product by its id: a route that does the same find and answers nothing of it."""

import os
from typing import Any

from flask import Flask
from pymongo import MongoClient


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    products = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().products

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> dict[str, Any]:
        products.find_one({"_id": product_id})
        return {}

    return app
