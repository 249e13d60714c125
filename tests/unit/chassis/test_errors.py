"""Problems carry what a client needs to react."""

import pytest

from chassis import errors
from chassis.errors import Invalid, Problem, TooManyRequests, Unauthorized, Unavailable, title_of


def kinds(base: type[Problem] = Problem) -> list[type[Problem]]:
    return [base, *(kind for derived in base.__subclasses__() for kind in kinds(derived))]


@pytest.mark.parametrize(
    ("kind", "status", "code", "title"),
    [
        (errors.Problem, 500, "internal-error", "Internal Server Error"),
        (errors.BadRequest, 400, "bad-request", "Bad Request"),
        (errors.Unauthorized, 401, "unauthorized", "Unauthorized"),
        (errors.Forbidden, 403, "forbidden", "Forbidden"),
        (errors.NotFound, 404, "not-found", "Not Found"),
        (errors.Conflict, 409, "conflict", "Conflict"),
        (errors.PreconditionFailed, 412, "precondition-failed", "Precondition Failed"),
        (errors.ContentTooLarge, 413, "content-too-large", "Content Too Large"),
        (errors.UnsupportedMediaType, 415, "unsupported-media-type", "Unsupported Media Type"),
        (errors.Invalid, 422, "invalid-input", "Unprocessable Content"),
        (errors.TooManyRequests, 429, "too-many-requests", "Too Many Requests"),
        (errors.Unavailable, 503, "unavailable", "Service Unavailable"),
    ],
)
def test_every_problem_has_its_status_type_and_title(kind: type[Problem], status: int, code: str, title: str) -> None:
    assert (kind.status, kind.code, kind.title) == (status, code, title)


def test_every_kind_of_problem_explains_itself() -> None:
    assert [kind.__name__ for kind in kinds() if not kind.__doc__] == []


def test_the_detail_is_the_title_where_none_is_given() -> None:
    assert errors.NotFound().detail == str(errors.NotFound()) == "Not Found"
    assert errors.NotFound("No such cup.").detail == str(errors.NotFound("No such cup.")) == "No such cup."


def test_further_members_are_kept() -> None:
    assert errors.Conflict("Too few.", lines=[1]).members == {"lines": [1]}


def test_unauthorized_names_the_scheme() -> None:
    assert Unauthorized().headers == {"WWW-Authenticate": "Bearer"}


def test_invalid_always_lists_its_fields() -> None:
    assert Invalid().members == {"errors": []}
    assert Invalid.field("price", "is too low").members == {"errors": [{"field": "price", "message": "is too low"}]}
    assert Invalid.field("price", "is too low").detail == "The request has invalid fields."


def test_limits_and_outages_have_retry_after() -> None:
    assert TooManyRequests(retry_after=30).headers == {"Retry-After": "30"}
    assert TooManyRequests(retry_after=0).headers == {"Retry-After": "1"}
    assert Unavailable().headers == {"Retry-After": "2"}
    assert Unavailable(retry_after=10).headers == {"Retry-After": "10"}


def test_headers_of_one_problem_do_not_leak_into_another() -> None:
    Unavailable().headers["X-Mine"] = "1"
    assert Unavailable().headers == {"Retry-After": "2"}


@pytest.mark.parametrize(
    ("status", "title", "code"),
    [
        (405, "Method Not Allowed", "method-not-allowed"),
        (413, "Content Too Large", "content-too-large"),
        (414, "URI Too Long", "uri-too-long"),
        (416, "Range Not Satisfiable", "range-not-satisfiable"),
        (422, "Unprocessable Content", "unprocessable-content"),
    ],
)
def test_statuses_have_the_names_of_rfc_9110_under_every_python(status: int, title: str, code: str) -> None:
    problem = Problem.of_status(status)
    assert (title_of(status), problem.title, problem.code, problem.status) == (title, title, code, status)
