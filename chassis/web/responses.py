"""Responses that routes build."""

from flask import Response

from chassis.schemas import Reply, to_json


def json_response(model: type[Reply], source: object) -> Response:
    """Answer with the JSON object that a model makes of a source object."""
    return Response(to_json(model, source), mimetype="application/json")


def created(response: Response, location: str) -> Response:
    """Make an answer a 201 with the place of what was made."""
    response.status_code = 201
    response.headers["Location"] = location
    return response


def no_content() -> Response:
    """Answer 204."""
    return Response(status=204)
