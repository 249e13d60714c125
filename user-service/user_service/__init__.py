"""user-service. `create_app` imports the web app late, so the other programs of the package need no Flask."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_openapi3 import OpenAPI

    from user_service.config import Settings


def create_app(settings: "Settings | None" = None) -> "OpenAPI":
    """Return the WSGI app, wired from settings, by default those of the environment."""
    from user_service import app

    return app.create_app(settings)
