"""The OpenAPI description of a service with its problems, and Swagger UI from assets that the service itself serves."""

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import flask_openapi3_swagger
from flask import Response, jsonify, send_from_directory
from flask_openapi3 import OpenAPI

from chassis import errors
from chassis.auth.access import allowed_roles, public
from chassis.errors import Problem
from chassis.web.problems import document

View = TypeVar("View", bound=Callable[..., Any])

_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


def raises(*problems: type[Problem]) -> Callable[[View], View]:
    """Describe the problems that only this route has. The others follow from its roles, body, path and conditions."""

    def mark(view: View) -> View:
        view.__dict__["problems"] = problems
        return view

    return mark


def init_app(app: OpenAPI) -> None:
    """Add `/openapi.json` and `/docs`. Call it after all routes are registered."""
    assets = str(files(flask_openapi3_swagger) / "templates" / "swagger")
    page, script = (Path(__file__).with_name(name).read_text() for name in ("docs.html", "docs.js"))
    _describe_problems(app)
    headers = {"Content-Security-Policy": _PAGE_POLICY}
    app.add_url_rule("/openapi.json", "openapi", public(lambda: jsonify(app.api_doc)))
    app.add_url_rule("/docs", "docs", public(lambda: Response(page, mimetype="text/html", headers=headers)))
    app.add_url_rule("/docs/start.js", "docs_start", public(lambda: Response(script, mimetype="text/javascript")))
    app.add_url_rule("/docs/assets/<path:name>", "docs_assets", public(lambda name: send_from_directory(assets, name)))


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
    if getattr(view, "body_is_optional", False):
        operation["requestBody"]["required"] = False
    responses = operation["responses"]
    problems = _problems_of(view, path)
    for status in {problem.status for problem in problems}:
        same_status = [problem for problem in problems if problem.status == status]
        _describe_response(responses.setdefault(str(status), {}), same_status)
    operation["responses"] = dict(sorted(responses.items()))


def _description(docstring: str, problems: Iterable[type[Problem]]) -> str:
    """Return a docstring (flask-openapi3 joins its lines with a tag) and the problems that it does not name."""
    text = docstring.replace("<br/>", "\n").strip()
    unnamed = [f"`{problem.code}` ({problem.status})" for problem in problems if f"`{problem.code}`" not in text]
    return f"{text}\n\nProblems: {', '.join(unnamed)}.".strip() if unnamed else text


def _problems_of(view: Callable[..., Any], path: str) -> list[type[Problem]]:
    """Return the problems of a route: those of outages, authentication, bodies, paths and conditions, and its own."""
    problems: list[type[Problem]] = [errors.Invalid, errors.Unavailable]
    if allowed_roles(view):
        problems += [errors.Unauthorized, errors.Forbidden]
    if "body" in getattr(view, "__annotations__", {}):
        problems += [errors.BadRequest, errors.ContentTooLarge, errors.UnsupportedMediaType]
    if "{" in path:
        problems.append(errors.NotFound)
    if getattr(view, "checks_conditions", False):
        problems.append(errors.PreconditionFailed)
    return list(dict.fromkeys([*problems, *getattr(view, "problems", ())]))


def _describe_response(response: dict[str, Any], problems: list[type[Problem]]) -> None:
    examples = {problem.code: {"summary": _summary(problem), "value": _example(problem)} for problem in problems}
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    response["description"] = " ".join(map(_summary, problems))
    response["content"] = {"application/problem+json": {"schema": schema, "examples": examples}}


def _summary(problem: type[Problem]) -> str:
    return (problem.__doc__ or problem.title).partition("\n")[0]


def _example(problem: type[Problem]) -> dict[str, Any]:
    invalid = {"errors": [{"field": "quantity", "message": "must be at least 1"}]} if problem is errors.Invalid else {}
    return document(problem, _summary(problem), "/path", "5f2b7c1e9a4d4c0b8a6e3d2f1c0b9a87", **invalid)
