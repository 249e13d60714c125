"""Cross-origin requests (Fetch standard, CORS protocol): the configured origins may use the API, no others.

No cookies are involved, so credentials are never allowed.
"""

from collections.abc import Collection

from flask import Flask, Response, request

EXPOSED_HEADERS = "ETag, Idempotent-Replayed, Location, Retry-After, X-Request-ID, traceresponse"
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
PREFLIGHT_SECONDS = 600  # a browser caches the result of a preflight for so long


def init_app(app: Flask, origins: Collection[str]) -> None:
    """Let pages of these origins send the headers of the API and read its responses."""

    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            if "Access-Control-Request-Method" in request.headers:
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
                response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    if origins:
        app.after_request(allow)
