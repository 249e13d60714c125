"""The factory of all web services: it puts their common parts together, in the order of their dependencies."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import current_app
from flask_openapi3 import APIBlueprint
from werkzeug.local import LocalProxy

from chassis.auth import access
from chassis.auth.access import KeySource
from chassis.config import WebSettings
from chassis.telemetry import programs
from chassis.web import docs, exposition, health
from chassis.web.app import App, make_app
from chassis.web.health import Health


def create_service(
    package: str,
    description: str,
    settings: WebSettings,
    api: APIBlueprint,
    *,
    collaborators: Mapping[str, object],
    keys: KeySource,
    prepare: Callable[[], None],
    ping: Callable[[], None],
    dependencies: Mapping[str, Callable[[], None]] | None = None,
) -> App:
    """Return the WSGI app of a service.

    Its routes find their `collaborators` in `app.extensions`, and `keys` verify access tokens. `prepare` makes the
    database's indexes, and `ping` checks that the database answers; both raise Unavailable. `dependencies` are the
    checks of other services, by name.
    """
    name = package.replace("_", "-")
    programs.observe(name, settings)
    proxies, origins, threads = settings.trusted_proxies, settings.cors_origins, settings.web_threads
    app = make_app(package, name, description, trusted_proxies=proxies, cors_origins=origins, threads=threads)
    app.extensions.update(collaborators)
    access.init_app(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api)
    health.init_app(app, Health(prepare, ping, dependencies or {}))
    exposition.init_app(app)
    docs.init_app(app)
    return app


def collaborator(name: str) -> Any:
    """Return a proxy for a collaborator of the app that serves the current request, for the routes of a service."""
    return LocalProxy(lambda: current_app.extensions[name])
