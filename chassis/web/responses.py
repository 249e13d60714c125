"""Responses of routes."""

from flask import Response

from chassis.schemas import Reply, to_json


def json_response(model: type[Reply], source: object) -> Response:
    """Return the JSON object that a model makes of a source object."""
    return Response(to_json(model, source), mimetype="application/json")


def created(response: Response, location: str) -> Response:
    """Turn a response into 201 with the `Location` of the new resource."""
    response.status_code = 201
    response.headers["Location"] = location
    return response


def no_content() -> Response:
    """Return 204."""
    return Response(status=204)
