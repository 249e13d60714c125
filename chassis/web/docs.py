"""The OpenAPI description of a service, and Swagger UI to read and try it, served without any other host."""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import flask_openapi3_swagger
from flask import Response, jsonify, send_from_directory
from flask_openapi3 import OpenAPI

from chassis.auth.access import allowed_roles, public
from chassis.errors import title_of


def init_app(app: OpenAPI) -> None:
    """Add `/openapi.json` and `/docs` (Swagger UI with its own copy of the assets). To be called after all routes."""
    assets = str(files(flask_openapi3_swagger) / "templates" / "swagger")
    _describe_common_responses(app)

    @public
    def openapi() -> Response:
        return jsonify(app.api_doc)

    @public
    def docs() -> Response:
        response = Response(_DOCS_PAGE, mimetype="text/html")
        response.headers["Content-Security-Policy"] = _DOCS_POLICY
        return response

    @public
    def docs_start() -> Response:
        return Response(_DOCS_SCRIPT, mimetype="text/javascript")

    @public
    def docs_assets(name: str) -> Response:
        return send_from_directory(assets, name)

    app.add_url_rule("/openapi.json", view_func=openapi)
    app.add_url_rule("/docs", view_func=docs)
    app.add_url_rule("/docs/start.js", view_func=docs_start)
    app.add_url_rule("/docs/assets/<path:name>", view_func=docs_assets)


def _describe_common_responses(app: OpenAPI) -> None:
    """Describe the answers that follow from what a route is: those of authentication, bodies, paths and outages."""
    app.api_doc  # noqa: B018  builds the description
    document = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        view = app.view_functions[rule.endpoint]
        for method, operation in app.spec_json["paths"].get(path, {}).items():
            if method.upper() not in (rule.methods or ()):
                continue
            if "description" in operation:  # a docstring, whose lines flask-openapi3 joins with a tag
                operation["description"] = operation["description"].replace("<br/>", "\n").strip()
            if allowed_roles(view):
                operation["security"] = [{"bearer": []}]
            for status in _common_statuses(view, path):
                known = operation["responses"].setdefault(str(status), {})
                known.setdefault("description", title_of(status))
                known["content"] = document
            operation["responses"] = {
                code: _with_problem(answer, document) if int(code) >= 400 else answer
                for code, answer in sorted(operation["responses"].items())
            }


def _with_problem(answer: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "content": answer.get("content") or document}


def _common_statuses(view: Callable[..., Any], path: str) -> list[int]:
    takes_body = "body" in getattr(view, "__annotations__", {})
    return [
        *([401, 403] if allowed_roles(view) else []),
        *([400, 413, 415] if takes_body else []),
        *([404] if "{" in path else []),
        *(422, 503),
    ]


_DOCS_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_DOCS_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8"><title>API</title>
  <link rel="stylesheet" href="/docs/assets/css/swagger-ui.css">
  <link rel="icon" href="/docs/assets/images/swagger.svg">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="/docs/assets/js/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
"""
_DOCS_SCRIPT = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui"});\n'
