"""Health and readiness, and preparing the database before the first request uses it."""

import logging
from collections.abc import Callable, Mapping

from flask import Flask, Response, current_app, jsonify, request

from chassis.auth import public
from chassis.errors import Problem, Unavailable

NEIGHBOURS = "neighbours"


def add_health(
    app: Flask, prepare: Callable[[], None], ping: Callable[[], None], neighbours: Mapping[str, Callable[[], None]]
) -> None:
    """Add `/health` and `/ready`, and prepare the service's database (indexes) before anything else uses it.

    `prepare` is tried at once, and again by each request until it succeeds; like `ping` it raises Unavailable.
    A neighbour's check raises any Problem if it is away: `/ready` names it as degraded, and still answers 200.
    """
    prepared = False

    def ensure_prepared() -> None:
        nonlocal prepared
        if not prepared:
            prepare()
            prepared = True

    @public
    def health() -> Response:
        return jsonify(status="ok")

    @public
    def ready() -> Response:
        ensure_prepared()
        ping()
        return jsonify(status="ready", degraded=[name for name, check in neighbours.items() if _fails(check)])

    def prepare_first() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        if view and request.blueprint:
            ensure_prepared()

    app.extensions[NEIGHBOURS] = neighbours
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/ready", view_func=ready)
    app.before_request(prepare_first)
    try:
        ensure_prepared()
    except Unavailable as exc:
        logging.getLogger(app.name).warning("starting without the database: %s Each request tries again.", exc.detail)


def name_missing_neighbours(app: Flask) -> None:
    """Log each neighbour that does not answer, with where it was sought: its variable may be wrong."""
    for name, check in app.extensions.get(NEIGHBOURS, {}).items():
        try:
            check()
        except Problem as exc:
            logging.getLogger(app.name).warning("%s is missed: %s", name, exc.detail)


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except Problem:
        return True
    return False
