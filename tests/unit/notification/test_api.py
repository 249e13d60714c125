"""GET /notifications: users list their own notifications, newest first; an administrator lists all."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis import mongo
from chassis.auth.jwks import JwksClient
from notification_service import create_app
from notification_service.config import Settings
from notification_service.model import Notification
from notification_service.store import NotificationStore
from tests.signing import PublishedKeys, bearer
from tests.unit.notification.notification_app import FakeClock, make_database, make_store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database() -> Any:
    return make_database()


@pytest.fixture
def store(database: Any, clock: FakeClock) -> NotificationStore:
    return make_store(database, clock)


@pytest.fixture
def client(database: Any, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(mongo, "connect", lambda _url, _service: database)
    monkeypatch.setattr(JwksClient, "public_key", lambda _self, kid: PublishedKeys().public_key(kid))
    monkeypatch.setattr(JwksClient, "check", lambda _self: None)
    return create_app(
        Settings(
            environment="development",
            mongo_url="mongodb://unused/n",
            jwks_url="http://unused/jwks.json",
            log_level="WARNING",
        )
    ).test_client()


def add(store: NotificationStore, clock: FakeClock, number: int, user: str = "user-1") -> None:
    notification = Notification(
        f"order-{number}.order_created", "order_created", f"order-{number}", user, "email", f"{user}@x.eu", "Hi", "Text"
    )
    store.add([notification], "claim")
    clock.move(1)


def orders(reply: Any) -> list[str]:
    assert reply.status_code == 200, reply.json
    return [item["order_id"] for item in reply.json["items"]]


def test_a_notification_is_shown_in_full(client: FlaskClient, store: NotificationStore, clock: FakeClock) -> None:
    add(store, clock, 1)
    reply = client.get("/notifications", headers=bearer("customer"))
    assert reply.json == {
        "items": [
            {
                "id": "order-1.order_created:email",
                "event_id": "order-1.order_created",
                "event_type": "order_created",
                "order_id": "order-1",
                "channel": "email",
                "recipient": "user-1@x.eu",
                "subject": "Hi",
                "body": "Text",
                "status": "sending",
                "created_at": "2026-01-31T12:00:00.000Z",
            }
        ],
        "next_cursor": None,
    }


def test_a_user_lists_their_own_notifications_and_an_administrator_all(
    client: FlaskClient, store: NotificationStore, clock: FakeClock
) -> None:
    for number, user in enumerate(["user-1", "user-2", "user-1"], 1):
        add(store, clock, number, user)
    customer, admin = bearer("customer"), bearer("admin", user="boss")
    assert orders(client.get("/notifications", headers=customer)) == ["order-3", "order-1"]
    assert orders(client.get("/notifications?user_id=user-1", headers=customer)) == ["order-3", "order-1"]
    assert orders(client.get("/notifications", headers=admin)) == ["order-3", "order-2", "order-1"]
    assert orders(client.get("/notifications?user_id=user-2", headers=admin)) == ["order-2"]
    assert orders(client.get("/notifications?user_id=nobody", headers=admin)) == []


def test_the_notifications_of_one_order_are_listed_only_to_its_buyer_and_to_administrators(
    client: FlaskClient, store: NotificationStore, clock: FakeClock
) -> None:
    for kind in ("order_created", "order_paid"):
        for order, user in (("order-1", "user-1"), ("order-10", "user-1"), ("order-1.x", "user-1"), ("order-2", "u2")):
            notification = Notification(f"{order}.{kind}", kind, order, user, "email", "a@x.eu", "Hi", "Text")
            store.add([notification], "claim")
        clock.move(1)

    def listed(query: str, headers: dict[str, str]) -> list[tuple[str, str]]:
        items = client.get(f"/notifications?{query}", headers=headers).json["items"]
        return [(item["order_id"], item["event_type"]) for item in items]

    customer, admin = bearer("customer"), bearer("admin", user="boss")
    of_first = [("order-1", "order_paid"), ("order-1", "order_created")]
    assert listed("order_id=order-1", customer) == listed("order_id=order-1", admin) == of_first
    assert listed("order_id=order-1&user_id=user-1", admin) == of_first
    assert listed("order_id=order-1.x", customer) == [("order-1.x", kind) for _, kind in of_first]
    assert listed("order_id=order-2", admin) == [("order-2", kind) for _, kind in of_first]
    assert listed("order_id=order-2", customer) == listed("order_id=order-1&user_id=u2", admin) == []
    assert listed("order_id=nothing", admin) == []
    page = client.get("/notifications?order_id=order-1&limit=1", headers=customer).json
    assert [item["event_type"] for item in page["items"]] == ["order_paid"]
    assert listed(f"order_id=order-1&limit=1&cursor={page['next_cursor']}", customer) == of_first[1:]


def test_a_page_that_polls_gets_304_until_something_changes(
    client: FlaskClient, store: NotificationStore, clock: FakeClock
) -> None:
    add(store, clock, 1)
    customer = bearer("customer")
    first = client.get("/notifications", headers=customer)
    tag = first.headers["ETag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get("/notifications", headers={**customer, "If-None-Match": condition})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    store.mark_sent(["order-1.order_created:email"])
    sent = client.get("/notifications", headers={**customer, "If-None-Match": tag})
    assert (sent.status_code, sent.json["items"][0]["status"], sent.headers["ETag"] == tag) == (200, "sent", False)
    add(store, clock, 2)
    assert orders(client.get("/notifications", headers={**customer, "If-None-Match": sent.headers["ETag"]})) == [
        "order-2",
        "order-1",
    ]
    other = client.get("/notifications", headers={**bearer("customer", user="user-2"), "If-None-Match": tag})
    assert (other.status_code, other.json["items"]) == (200, [])
    assert client.get("/notifications", headers={"If-None-Match": tag}).status_code == 401


def test_pages_neither_skip_nor_repeat_while_others_are_added(
    client: FlaskClient, store: NotificationStore, clock: FakeClock
) -> None:
    for number in range(5):
        add(store, clock, number)
    seen, url = [], "/notifications?limit=2"
    while True:
        reply = client.get(url, headers=bearer("customer"))
        seen += orders(reply)
        add(store, clock, 100 + len(seen))
        if reply.json["next_cursor"] is None:
            break
        url = f"/notifications?limit=2&cursor={reply.json['next_cursor']}"
    assert seen == ["order-4", "order-3", "order-2", "order-1", "order-0"]


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        ("/notifications", {}, 401),
        ("/notifications", {"Authorization": "Bearer x"}, 401),
        ("/notifications", bearer("service"), 403),
        ("/notifications?user_id=user-2", bearer("customer"), 403),
        ("/notifications?limit=0", bearer("customer"), 422),
        ("/notifications?limit=101", bearer("customer"), 422),
        ("/notifications?cursor=x", bearer("customer"), 422),
        ("/notifications?status=sent", bearer("customer"), 422),
        ("/notifications?order_id=", bearer("customer"), 422),
        ("/notifications?order_id=a%2Fb", bearer("admin"), 422),
        ("/notifications?order_id[$ne]=1", bearer("admin"), 422),
        ("/notifications?order_id=" + "x" * 65, bearer("admin"), 422),
    ],
)
def test_a_request_without_rights_or_with_wrong_parameters_is_refused(
    client: FlaskClient, url: str, headers: dict[str, str], status: int
) -> None:
    reply = client.get(url, headers=headers)
    assert (reply.status_code, reply.mimetype) == (status, "application/problem+json")


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json", "/docs"])
def test_the_routes_that_every_service_has_exist(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200
