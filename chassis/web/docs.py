"""The OpenAPI description of a service, and Swagger UI, which the service serves with its own copy of the assets."""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar, cast

import flask_openapi3_swagger
from flask import Response, jsonify, send_from_directory
from flask_openapi3 import OpenAPI

from chassis.auth.access import allowed_roles, public
from chassis.errors import (
    BadRequest,
    ContentTooLarge,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Problem,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)

View = TypeVar("View", bound=Callable[..., Any])
Problems = tuple[type[Problem], ...]


def raises(*problems: type[Problem]) -> Callable[[View], View]:
    """Describe the problems that are special to a route. The common ones follow from what the route is."""

    def mark(view: View) -> View:
        view.__dict__["problems"] = problems
        return view

    return mark


def init_app(app: OpenAPI) -> None:
    """Add `/openapi.json` and `/docs`. Call it after all routes are registered."""
    assets = str(files(flask_openapi3_swagger) / "templates" / "swagger")
    _describe_problems(app)

    @public
    def openapi() -> Response:
        return jsonify(app.api_doc)

    @public
    def docs() -> Response:
        response = Response(_PAGE, mimetype="text/html")
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response

    @public
    def docs_start() -> Response:
        return Response(_SCRIPT, mimetype="text/javascript")

    @public
    def docs_assets(name: str) -> Response:
        return send_from_directory(assets, name)

    app.add_url_rule("/openapi.json", view_func=openapi)
    app.add_url_rule("/docs", view_func=docs)
    app.add_url_rule("/docs/start.js", view_func=docs_start)
    app.add_url_rule("/docs/assets/<path:name>", view_func=docs_assets)


def _describe_problems(app: OpenAPI) -> None:
    app.api_doc  # noqa: B018  builds the description
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        view = app.view_functions[rule.endpoint]
        for method, operation in app.spec_json["paths"].get(path, {}).items():
            if method.upper() in (rule.methods or ()):
                _describe_operation(operation, view, path)


def _describe_operation(operation: dict[str, Any], view: Callable[..., Any], path: str) -> None:
    operation["description"] = _description(operation.get("description", ""), getattr(view, "problems", ()))
    if allowed_roles(view):
        operation["security"] = [{"bearer": []}]
    problems = _problems_of(view, path)
    for status in sorted({problem.status for problem in problems}):
        same_status = [problem for problem in problems if problem.status == status]
        response = operation["responses"].setdefault(str(status), {})
        response["description"] = " ".join(_summary(problem) for problem in same_status)
        response["content"] = {"application/problem+json": _problem_content(same_status)}
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _description(docstring: str, problems: Problems) -> str:
    """Return a docstring, whose lines flask-openapi3 joins with a tag, and the problems that it does not name."""
    text = docstring.replace("<br/>", "\n").strip()
    unnamed = [f"`{problem.code}` ({problem.status})" for problem in problems if f"`{problem.code}`" not in text]
    return f"{text}\n\nProblems: {', '.join(unnamed)}.".strip() if unnamed else text


def _problems_of(view: Callable[..., Any], path: str) -> Problems:
    """Return the problems of a route: those of authentication, bodies, paths, conditions and outages, and its own."""
    takes_body = "body" in getattr(view, "__annotations__", {})
    conditions: dict[Problems, bool] = {
        (Unauthorized, Forbidden): bool(allowed_roles(view)),
        (BadRequest, ContentTooLarge, UnsupportedMediaType): takes_body,
        (NotFound,): "{" in path,
        (PreconditionFailed,): getattr(view, "checks_conditions", False),
        (Invalid, Unavailable): True,
        cast(Problems, getattr(view, "problems", ())): True,
    }
    return tuple(dict.fromkeys(problem for problems, applies in conditions.items() if applies for problem in problems))


def _problem_content(problems: list[type[Problem]]) -> dict[str, Any]:
    examples = {problem.code: {"summary": _summary(problem), "value": _example(problem)} for problem in problems}
    return {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "examples": examples}


def _summary(problem: type[Problem]) -> str:
    return (problem.__doc__ or problem.title).partition("\n")[0]


def _example(problem: type[Problem]) -> dict[str, Any]:
    example = {"type": problem.code, "title": problem.title, "status": problem.status, "detail": _summary(problem)}
    errors = {"errors": [{"field": "quantity", "message": "must be at least 1"}]} if problem is Invalid else {}
    return {**example, "instance": "/path", "request_id": "5f2b7c1e9a4d4c0b8a6e3d2f1c0b9a87", **errors}


_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
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
_SCRIPT = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", persistAuthorization: true, '
    "tryItOutEnabled: true});\n"
)
