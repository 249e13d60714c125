"""The order service of the floor, and the same without its writes: an empty hop."""

import os
import uuid
from typing import Any

import urllib3
from flask import Flask, request
from pymongo import MongoClient

from bench.floor import tokens
from bench.floor.operations import Operations
from bench.floor.relay import Relay


def create_app() -> Flask:
    """Return the app that places orders."""
    app = Flask(__name__)
    tokens.install(app)
    call = _caller()
    operations = Operations(MongoClient[dict[str, Any]](os.environ["MONGO_URL"]).get_default_database())
    relay = Relay(os.environ["RABBITMQ_URL"], os.environ["QUEUE"], operations)

    @app.post("/orders")
    def place_order() -> tuple[dict[str, Any], int]:
        order_id = uuid.uuid4().hex
        operations.open(order_id)
        call(f"/reservations/{order_id}", {"product_id": request.get_json()["product_id"]})
        operations.confirm(order_id)
        relay.publish(order_id)
        return {"id": order_id}, 201

    return app


def create_hop() -> Flask:
    """Return the app that only calls the other one."""
    app = Flask(__name__)
    tokens.install(app)
    call = _caller()

    @app.post("/orders")
    def place_order() -> tuple[dict[str, Any], int]:
        return call("/reservations/1", {}), 201

    return app


def _caller() -> Any:
    """Return a function that calls the other service, over connections that are kept, and returns its answer."""
    pool = urllib3.PoolManager(maxsize=32, retries=False)
    back = os.environ["BACK_URL"]
    headers = {"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"}

    def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = pool.request("PUT", back + path, json=body, headers=headers, timeout=5)
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")
        found: dict[str, Any] = answer.json()
        return found

    return call
