"""Cross-origin requests: which web pages of other origins may use the API (Fetch standard, CORS protocol).

None may unless they are named. No cookies are involved, so credentials are never allowed.
"""

from collections.abc import Collection

from flask import Flask, Response, request

EXPOSED = "ETag, Idempotent-Replayed, Location, Retry-After, X-Request-ID"
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
PREFLIGHT_SECONDS = 600


def init_app(app: Flask, origins: Collection[str]) -> None:
    """Let pages of these origins read answers and send what the API takes."""

    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
            if "Access-Control-Request-Method" in request.headers:
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = ACCEPTED
                response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response

    if origins:
        app.after_request(allow)
