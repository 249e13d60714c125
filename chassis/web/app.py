"""The Flask app that all services build on: the checks of a request, security headers, errors, observation."""

import re
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Response, request
from flask_openapi3 import Info, OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from chassis.errors import BadRequest, Invalid
from chassis.web import cors, observation, problems
from chassis.web.conditions import reject_unsupported_conditions
from chassis.web.headers import SECURITY_HEADERS, drop_malformed
from chassis.web.json_bodies import MAX_BODY, Request, drain_body, require_json_body
from chassis.web.problems import ProblemDocument, reject_invalid

BEARER_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Sign in with user-service's `POST /login` (http://localhost:5002/docs under `./dev up` and docker "
    "compose) and paste the `access_token`. It is valid for 15 minutes.",
}

_HOST = re.compile(r"(?:[0-9A-Za-z._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")  # RFC 9110, 7.2; RFC 3986, 3.2.2


class App(OpenAPI):
    """A Flask app that adds the request's id, its trace and `SECURITY_HEADERS` to every response."""

    request_class = Request
    checks: list[Callable[[Callable[..., Any]], None]]  # each gets the view; they run in this order before it

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: no view is asynchronous. (Flask would check that at each call.)"""
        return func

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request. A security header that the view has set stays as it is."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            names = {name for name, _ in headers}
            headers += [header for header in SECURITY_HEADERS if header[0] not in names]
            headers += observation.response_headers(environ)
            return start_response(status, headers, exc_info)

        drop_malformed(environ)
        return super().wsgi_app(environ, start)


def make_app(
    package: str,
    title: str,
    description: str,
    *,
    trusted_proxies: int = 0,
    cors_origins: Collection[str] = (),
    threads: int = 1,
) -> App:
    """Return an app without routes. It reads JSON bodies strictly and answers errors with problem documents."""
    app = App(
        package,
        info=Info(title=title, version="1.0.0", description=description),
        security_schemes={"bearer": BEARER_SCHEME},
        doc_ui=False,
        validation_error_model=ProblemDocument,
        validation_error_callback=reject_invalid,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    if trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted_proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    app.checks = [reject_unsupported_conditions, _reject_repeated_parameters, require_json_body]
    observation.init_app(app, threads)
    app.before_request(partial(_check, app))
    app.after_request(_drain_body_of_error)
    problems.init_app(app)
    cors.init_app(app, cors_origins)
    return app


def _check(app: App) -> None:
    """Run the checks of a request unless Flask itself answers (OPTIONS, unknown paths)."""
    environ = request.environ
    _check_host(environ)
    view = app.view_functions.get(request.endpoint or "")
    if view is not None and environ["REQUEST_METHOD"] != "OPTIONS":
        for check in app.checks:
            check(view)


def _check_host(environ: WSGIEnvironment) -> None:
    """Raise BadRequest for an invalid `Host`, or a missing one in HTTP/1.1 (RFC 9112, section 3.2)."""
    host = environ.get("HTTP_HOST")
    if not _HOST.fullmatch(host or "") or (host is None and environ["SERVER_PROTOCOL"] == "HTTP/1.1"):
        raise BadRequest("The request has no valid Host header.")


def _reject_repeated_parameters(_view: Callable[..., Any]) -> None:
    """Raise Invalid for a repeated query parameter: it has no single meaning, and a query model sees only one value."""
    if b"&" in request.query_string and request.blueprint:
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise Invalid(errors=[{"field": name, "message": "must be given once"} for name in repeated])


def _drain_body_of_error(response: Response) -> Response:
    if response.status_code >= 400:
        drain_body()
    return response
