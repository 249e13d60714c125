"""The naive product service: reads and writes a product, stock included."""

import os
from typing import Any

from flask import Flask, Response, jsonify, request
from flask_jwt_extended import jwt_required
from pymongo import MongoClient

from bench.baseline import tokens


def create_app() -> Flask:
    """Return the WSGI app."""
    app = Flask(__name__)
    tokens.init_app(app)
    products = MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database().products

    @app.get("/products/<product_id>")
    def get_product(product_id: str) -> tuple[Response, int]:
        product = products.find_one({"_id": product_id})
        if product is None:
            return jsonify(error="not found"), 404
        return jsonify(id=product["_id"], name=product["name"], price=product["price"], stock=product["stock"]), 200

    @app.put("/products/<product_id>/stock")
    @jwt_required()
    def set_stock(product_id: str) -> tuple[Response, int]:
        stock = request.get_json()["stock"]
        products.update_one({"_id": product_id}, {"$set": {"stock": stock}})
        return jsonify(id=product_id, stock=stock), 200

    return app
