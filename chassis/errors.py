"""Errors that a caller is told about, as RFC 9457 problems.

To add one, derive from `Problem` (in the service that raises it) and set `status`, `code` and `title`.
The core raises them; `chassis.web.problems` turns them into `application/problem+json`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

_RENAMED = {  # by RFC 9110; Python has the older names before 3.13
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def title_of(status: int) -> str:
    """Return the name of an HTTP status by RFC 9110. Raises ValueError if there is no such status."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def code_of(title: str) -> str:
    """Return a problem's type, made of its title."""
    return title.lower().replace(" ", "-")


class Problem(Exception):
    """A refusal or failure with its HTTP status; `code` is the problem's `type`, `members` are its extensions."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.members = members


class BadRequest(Problem):
    """The request cannot be understood: repeating it unchanged is pointless."""

    status, code, title = 400, "bad-request", "Bad Request"


class Unauthorized(Problem):
    """No valid credentials: sign in again, then repeat."""

    status, code, title = 401, "unauthorized", "Unauthorized"

    def __init__(self, detail: str = "", **members: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **members)


class Forbidden(Problem):
    """The caller's role does not allow this."""

    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(Problem):
    """There is no such thing, or it belongs to somebody else."""

    status, code, title = 404, "not-found", "Not Found"


class Conflict(Problem):
    """The state of things does not allow this now: read again before repeating."""

    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(Problem):
    """The `If-Match` of the request is not the current `ETag`: read again before repeating (RFC 9110, 13.1.1)."""

    status, code, title = 412, "precondition-failed", "Precondition Failed"


class ContentTooLarge(Problem):
    """The body is larger than the limit."""

    status, code, title = 413, "content-too-large", "Content Too Large"


class UnsupportedMediaType(Problem):
    """The body is not of the type that the route reads."""

    status, code, title = 415, "unsupported-media-type", "Unsupported Media Type"


class Invalid(Problem):
    """The input breaks a rule; `errors` names each field."""

    status, code, title = 422, "invalid-input", "Unprocessable Content"

    def __init__(self, detail: str = "", *, errors: list[dict[str, str]] | None = None, **members: Any) -> None:
        super().__init__(detail or "The request has invalid fields.", errors=errors or [], **members)

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """Make the problem of a single field."""
        return cls(errors=[{"field": name, "message": message}])


class TooManyRequests(Problem):
    """A limit is reached: repeat after `retry_after` seconds."""

    status, code, title = 429, "too-many-requests", "Too Many Requests"

    def __init__(self, detail: str = "", *, retry_after: int, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))}, **members)


class Unavailable(Problem):
    """Something that this request needs does not answer: repeat after `retry_after` seconds."""

    status, code, title = 503, "unavailable", "Service Unavailable"

    def __init__(self, detail: str = "", *, retry_after: int = 2, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **members)


class Misconfigured(Unavailable):
    """Something that this request needs answers and refuses: a right or a setting of this service is wrong.

    Safe to repeat, but pointless until somebody corrects it.
    """
