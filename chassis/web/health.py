"""Health and readiness, and preparing the database before the first request uses it."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, jsonify, request

from chassis.auth.access import public
from chassis.errors import Problem, Unavailable
from chassis.misconfigurations import Misconfigurations
from chassis.web.app import App

DEPENDENCIES = "neighbours"


class Dependencies:
    """The services that a service calls, by name, each with a check that raises a Problem if it cannot be used."""

    def __init__(self, checks: Mapping[str, Callable[[], None]], misconfigurations: Misconfigurations) -> None:
        self._checks = checks
        self._refusals = misconfigurations

    def missing(self) -> dict[str, str]:
        """Return each neighbour that cannot be used, with the reason."""
        return {name: reason for name, check in self._checks.items() if (reason := self._reason(name, check))}

    def _reason(self, name: str, check: Callable[[], None]) -> str:
        try:
            with self._refusals.watch(name):
                check()
        except Problem as exc:
            return exc.detail
        return ""


def init_app(
    app: App, prepare: Callable[[], None], ping: Callable[[], None], neighbours: Mapping[str, Callable[[], None]]
) -> None:
    """Add `/health` and `/ready`, and prepare the service's database (indexes) before anything else uses it.

    `prepare` is tried at once, and again by each request until it succeeds; like `ping` it raises Unavailable.
    A neighbour's check raises any Problem if it is away: `/ready` names it as degraded, and still answers 200. It names
    as refused what answers and refuses, which waiting does not help: the service is then unhealthy for health checks.
    """
    prepared = False
    misconfigurations = Misconfigurations()
    app.extensions[DEPENDENCIES] = Dependencies(neighbours, misconfigurations)

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
        with misconfigurations.watch("the database"):
            ensure_prepared()
            ping()
        degraded = list(app.extensions[DEPENDENCIES].missing())
        return jsonify(
            status="ready", degraded=degraded, **({"refused": list(misconfigurations)} if misconfigurations else {})
        )

    def prepare_first(_view: Callable[..., Any]) -> None:
        if request.blueprint:
            ensure_prepared()

    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/ready", view_func=ready)
    app.checks.append(prepare_first)
    try:
        ensure_prepared()
    except Unavailable as exc:
        logging.getLogger(app.name).warning("starting without the database: %s Each request tries again.", exc.detail)


def check_dependencies(app: Flask) -> None:
    """Look at each neighbour once: with that, the keys and the token that requests need are there if it goes away."""
    app.extensions[DEPENDENCIES].missing()


def log_unreachable_dependencies(app: Flask) -> None:
    """Log each neighbour that does not answer, with where it was sought: its variable may be wrong."""
    for name, reason in app.extensions[DEPENDENCIES].missing().items():
        logging.getLogger(app.name).warning("%s is missed: %s", name, reason)
