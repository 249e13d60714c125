"""Responses of routes."""

from flask import Response, request

from chassis.schemas import Reply, to_json


def json_response(model: type[Reply], source: object) -> Response:
    """Return the JSON object that a model makes of a source object."""
    return Response(to_json(model, source), mimetype="application/json")


def conditional_response(response: Response) -> Response:
    """Add an `ETag` of the body; turn the response into 304 if the request's `If-None-Match` names it (RFC 9110)."""
    response.add_etag()
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code, response.data = 304, b""
    return response


def created(response: Response, location: str) -> Response:
    """Turn a response into 201 with the `Location` of the new resource."""
    response.status_code = 201
    response.headers["Location"] = location
    return response


def no_content() -> Response:
    """Return 204."""
    return Response(status=204)
