"""One service, put together: the parts that every web service has, in the order in which they depend on each other."""

from collections.abc import Callable, Mapping

from flask_openapi3 import APIBlueprint

from chassis import logs
from chassis.auth import access
from chassis.auth.access import KeySource
from chassis.config import WebSettings
from chassis.web import docs, health
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
    dependencies: Mapping[str, Callable[[], None]],
) -> App:
    """Return the WSGI app of a service.

    Its routes find their `collaborators` in `app.extensions`; `keys` verify access tokens. `prepare` makes the
    database's indexes and `ping` asks whether it answers; both raise Unavailable. `dependencies` are checks by service.
    """
    name = package.replace("_", "-")
    logs.configure(name, settings.log_level)
    app = make_app(
        package,
        name,
        description,
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions.update(collaborators)
    access.init_app(app, keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    app.register_api(api)
    health.init_app(app, Health(prepare, ping, dependencies))
    docs.init_app(app)
    return app
