"""Query strings are read strictly, alike by every service."""

import pytest
from flask.testing import FlaskClient

from tests.signing import PublishedKeys, bearer
from tests.unit.test_routes import APPS

LISTS = {
    "user-service": "/users",
    "product-service": "/products",
    "order-service": "/orders",
    "notification-service": "/notifications",
}
ADMIN = bearer("admin")


@pytest.fixture(params=LISTS)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(service: str, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr("notification_service.app.JwksClient", lambda _url: PublishedKeys())
    return APPS[service](monkeypatch).test_client()


def headers(service: str, client: FlaskClient) -> dict[str, str]:
    if service != "user-service":
        return ADMIN
    body = {"email": "admin@example.com", "password": "the-first-admin"}
    return {"Authorization": f"Bearer {client.post('/login', json=body).json['access_token']}"}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=1&limit=1", ["limit"]),
        ("cursor=&limit=1&cursor=", ["cursor"]),
        ("a=1&b=1&a=2&b=2", ["a", "b"]),
        ("limit=", ["limit"]),
        ("limit=" + "9" * 5000, ["limit"]),
        ("cursor=%00", ["cursor"]),
        ("cursor=" + "x" * 5000, ["cursor"]),
        ("%00=1", ["\x00"]),
    ],
)
def test_a_query_without_a_single_meaning_is_refused(
    service: str, client: FlaskClient, query: str, fields: list[str]
) -> None:
    answer = client.get(f"{LISTS[service]}?{query}", headers=headers(service, client))
    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, fields)


def test_an_empty_cursor_is_the_first_page(service: str, client: FlaskClient) -> None:
    answers = [client.get(LISTS[service] + query, headers=headers(service, client)) for query in ("", "?cursor=")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json


def test_a_caller_without_a_token_learns_nothing_of_the_query(service: str, client: FlaskClient) -> None:
    if service != "product-service":
        assert client.get(f"{LISTS[service]}?limit=1&limit=1").status_code == 401


@pytest.mark.parametrize("service", ["order-service", "notification-service"])
def test_other_parameters_hold_no_control_characters(service: str, client: FlaskClient) -> None:
    answer = client.get(f"{LISTS[service]}?user_id=%00", headers=ADMIN)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "user_id")
