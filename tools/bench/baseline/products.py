"""The naive product service: it reads and writes a product, stock included."""

from typing import Any

from flask import Flask, request
from flask_jwt_extended import JWTManager, jwt_required

from tools.bench.baseline import connect_database

Answer = tuple[dict[str, Any], int]


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    app.config.from_prefixed_env()  # FLASK_JWT_...: how user-service signs its access tokens
    JWTManager(app)
    products = connect_database().products

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> Answer:
        product = products.find_one({"_id": product_id})
        if product is None:
            return {"error": "not found"}, 404
        return {"id": product["_id"], **{field: product[field] for field in ("name", "price", "stock")}}, 200

    @app.put("/products/<product_id>/stock")
    @jwt_required()
    def set_stock(product_id: str) -> Answer:
        stock = request.get_json()["stock"]
        products.update_one({"_id": product_id}, {"$set": {"stock": stock}})
        return {"id": product_id, "stock": stock}, 200

    return app
