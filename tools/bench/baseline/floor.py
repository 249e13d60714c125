"""The floor for a product by its id: a Flask route with the same database query and an empty answer."""

from typing import Any

from flask import Flask

from tools.bench.baseline import connect_database


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    products = connect_database().products

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> dict[str, Any]:
        products.find_one({"_id": product_id})
        return {}

    return app
