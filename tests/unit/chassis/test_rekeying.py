"""Keys of an earlier version of the rules are migrated at the start."""

import logging
from typing import Any

import mongomock
import pytest

from chassis.mongo import rekeying
from tests.unit.user.user_app import PASSWORD, make_user_service
from user_service.store import Indexes


def age(collection: Any, selected: dict[str, Any], **keys: Any) -> None:
    collection.update_one(selected, {"$set": keys, "$unset": {"keys_version": ""}})


@pytest.mark.parametrize("batch", [1, 100])
def test_old_documents_get_new_keys_and_a_collision_is_named_by_its_id(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, batch: int
) -> None:
    monkeypatch.setattr(rekeying, "BATCH", batch)
    things = mongomock.MongoClient().shop.things
    things.create_index("key", unique=True)
    things.insert_many(
        [{"_id": f"t{number}", "name": name, "key": name} for number, name in enumerate(["a", "B", "A"])]
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            rekeying.rekey(things, 2, ("name",), lambda thing: {"key": thing["name"].lower()}, unique="key")
    assert {thing["_id"]: thing["key"] for thing in things.find()} == {"t0": "a", "t1": "b", "t2": "A"}
    assert {thing["keys_version"] for thing in things.find()} == {2}
    assert [record.getMessage().split()[:2] for record in caplog.records] == [["things", "t2"]]


def test_a_document_that_changes_meanwhile_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    things = mongomock.MongoClient().shop.things
    things.insert_one({"_id": "t", "name": "Old", "key": "?"})

    def make_keys(thing: dict[str, Any]) -> dict[str, Any]:
        things.update_one({"_id": "t", "name": "Old"}, {"$set": {"name": "New"}})
        return {"key": thing["name"].lower()}

    rekeying.rekey(things, 2, ("name",), make_keys, unique="key")
    assert things.find_one({"_id": "t"})["key"] == "new"


def test_accounts_of_an_earlier_version_can_sign_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = make_user_service(monkeypatch)
    first = shop.register("u@xn--mller-kva.example").json["id"]
    sharp = shop.register("straße@example.com").json["id"]
    users = shop.database.users
    second = {**users.find_one({"_id": first}), "_id": "second", "email": "u@müller.example"}
    second["email_key"] = "u@müller.example"
    users.insert_one(second)
    age(users, {"_id": "second"})
    age(users, {"_id": sharp}, email_key="strasse@example.com")
    Indexes(shop.database).ensure_indexes()
    warned = capsys.readouterr().out
    assert warned.count("keeps its old email_key") == warned.count("users second keeps") == 1
    assert "müller" not in warned
    assert users.find_one({"_id": sharp})["email_key"] == "straße@example.com"
    assert shop.register("strasse@example.com").status_code == 201
    for email, user_id in [
        ("u@XN--mller-kva.example", first),
        ("U@Müller.example", "second"),
        ("straße@example.com", sharp),
    ]:
        me = shop.client.get("/users/me", headers=shop.signed_in(email, PASSWORD))
        assert me.json["id"] == user_id
