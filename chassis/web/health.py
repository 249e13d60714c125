"""Health checks: `/health` for liveness (the process), `/ready` for readiness (its database, the services it calls).

The database is prepared (indexes) at the start. If that fails, each request to a route first tries again.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, jsonify, request

from chassis.auth.access import public
from chassis.errors import Problem, Unavailable
from chassis.misconfigurations import Misconfigurations
from chassis.web.app import App

Check = Callable[[], None]

log = logging.getLogger(__name__)


class Health:
    """The state of a service. `prepare` and `ping` raise Unavailable; a dependency's check raises a Problem."""

    def __init__(self, prepare: Check, ping: Check, dependencies: Mapping[str, Check]) -> None:
        self._prepare = prepare
        self._ping = ping
        self._dependencies = dependencies
        self._is_prepared = False
        self._misconfigurations = Misconfigurations()

    def ensure_prepared(self) -> None:
        """Prepare the database unless it is prepared. Raises Unavailable."""
        if not self._is_prepared:
            self._prepare()
            self._is_prepared = True

    def failed_dependencies(self) -> dict[str, str]:
        """Check each dependency. Return the reason of each failure by the name of the dependency."""
        reasons = {}
        for name, check in self._dependencies.items():
            try:
                with self._misconfigurations.watch(name):
                    check()
            except Problem as exc:
                reasons[name] = exc.detail
        return reasons

    def log_failed_dependencies(self) -> None:
        """Log each failed dependency. The reason has its URL: the variable that names it may be wrong."""
        for name, reason in self.failed_dependencies().items():
            log.warning("dependency %s cannot be used: %s", name, reason)

    def report(self) -> dict[str, Any]:
        """Return the body of `/ready`. Raises Unavailable.

        A failed dependency degrades the service. One that answers and refuses is a misconfiguration (`refused`):
        waiting does not help, and health checks count the service as unhealthy.
        """
        with self._misconfigurations.watch("the database"):
            self.ensure_prepared()
            self._ping()
        body = {"status": "ready", "degraded": list(self.failed_dependencies())}
        return {**body, "refused": list(self._misconfigurations)} if self._misconfigurations else body


def init_app(app: App, health: Health) -> None:
    """Add `/health` and `/ready`, and prepare the database now; if it is away, before the first request to a route."""

    @public
    def live() -> Response:
        return jsonify(status="ok")

    @public
    def ready() -> Response:
        return jsonify(health.report())

    def prepare_first(_view: Callable[..., Any]) -> None:
        if request.blueprint:
            health.ensure_prepared()

    app.extensions["health"] = health
    app.add_url_rule("/health", "health", live)
    app.add_url_rule("/ready", view_func=ready)
    app.checks.append(prepare_first)
    try:
        health.ensure_prepared()
    except Unavailable as exc:
        log.warning("started without the database, each request tries again: %s", exc.detail)
