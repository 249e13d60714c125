"""The errors that a client sees, as problems (RFC 9457).

To add one, derive from `Problem` in the service that raises it, and set `status`, `code` and `title`. The first line of
its docstring explains it in the API documentation. `chassis.web.problems` turns it into `application/problem+json`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_RENAMED = {  # by RFC 9110; Python has the older names before 3.13
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def title_of(status: int) -> str:
    """Return the name of an HTTP status (RFC 9110). Raises ValueError for an unknown status."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


class Problem(Exception):
    """An unexpected error.

    Subclasses set the HTTP `status`, the `code` (the problem's `type`) and the `title`; `members` are its extensions.
    """

    status: int = 500
    code: str = "internal-error"
    title: str = "Internal Server Error"
    default_headers: Mapping[str, str] = {}

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = {**self.default_headers, **(headers or {})}
        self.members = members

    @classmethod
    def of_status(cls, status: int, detail: str = "") -> "Problem":
        """Return the problem of an HTTP status that has no class of its own. Raises ValueError for other numbers."""
        problem = cls(detail or title_of(status))
        problem.status, problem.title = status, title_of(status)
        problem.code = problem.title.lower().replace(" ", "-")
        return problem


class BadRequest(Problem):
    """The request is malformed. Do not repeat it unchanged."""

    status, code, title = 400, "bad-request", "Bad Request"


class Unauthorized(Problem):
    """The access token is missing or invalid. Sign in, then repeat."""

    status, code, title = 401, "unauthorized", "Unauthorized"
    default_headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """The caller's role does not allow this."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(Problem):
    """The resource does not exist, or belongs to somebody else."""

    status, code, title = 404, "not-found", "Not Found"


class Conflict(Problem):
    """The present state does not allow this. Read again before you repeat."""

    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(Problem):
    """`If-Match` does not match the present ETag, or `If-None-Match` does (RFC 9110, 13.1). Read before you repeat."""

    status, code, title = 412, "precondition-failed", "Precondition Failed"


class ContentTooLarge(Problem):
    """The body is larger than 1 MiB."""

    status, code, title = 413, "content-too-large", "Content Too Large"


class UnsupportedMediaType(Problem):
    """The body is not of the media type that the route reads."""

    status, code, title = 415, "unsupported-media-type", "Unsupported Media Type"


class Invalid(Problem):
    """The input is invalid. `errors` names each field."""

    status, code, title = 422, "invalid-input", "Unprocessable Content"

    def __init__(self, detail: str = "", *, errors: list[dict[str, str]] | None = None, **members: Any) -> None:
        super().__init__(detail or "The request has invalid fields.", errors=errors or [], **members)

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """Return the problem of a single invalid field."""
        return cls(errors=[{"field": name, "message": message}])


class TooManyRequests(Problem):
    """A rate limit is reached. Repeat after the seconds in `Retry-After`."""

    status, code, title = 429, "too-many-requests", "Too Many Requests"

    def __init__(self, detail: str = "", *, retry_after: int, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))}, **members)


class Unavailable(Problem):
    """A server that this request needs does not answer. Repeat after the seconds in `Retry-After`."""

    status, code, title = 503, "unavailable", "Service Unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 2, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **members)


class Misconfigured(Unavailable):
    """A server that this request needs refuses: a right or a setting of this service is wrong.

    Safe to repeat, but it fails until somebody corrects the configuration.
    """
