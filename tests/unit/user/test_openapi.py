"""The OpenAPI description of user-service is enough to learn and try the service."""

from typing import Any

import pytest

from chassis.schemas import Body
from tests.unit.user.user_app import UserService, make_user_service
from user_service import schemas
from user_service.accounts import EmailTaken, LastAdmin, WrongPassword

BODIES = [model for model in Body.__subclasses__() if model.__module__ == schemas.__name__]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> UserService:
    return make_user_service(monkeypatch, admin_password="admin-password")


def operations(service: UserService) -> list[dict[str, Any]]:
    paths = service.client.get("/openapi.json").json["paths"]
    return [operation for methods in paths.values() for operation in methods.values()]


def sample(model: type[Body]) -> dict[str, Any]:
    """Return the body that /docs shows: the example of each field."""
    return {name: field["example"] for name, field in model.model_json_schema()["properties"].items()}


def test_every_route_has_a_tag_a_summary_and_a_description(service: UserService) -> None:
    tags = {"Accounts", "Sessions", "Administration", "Service tokens"}
    assert {operation["tags"][0] for operation in operations(service)} == tags
    assert all(operation["summary"].endswith(".") and operation["description"] for operation in operations(service))
    assert not any("<br/>" in operation["description"] for operation in operations(service))


@pytest.mark.parametrize("problem", [EmailTaken, LastAdmin, WrongPassword])
def test_every_problem_of_the_service_is_named_where_it_can_be_answered(service: UserService, problem: Any) -> None:
    named = f"`{problem.code}` ({problem.status})"
    described = [operation for operation in operations(service) if named in operation["description"]]
    assert len(described) == 1
    assert str(problem.status) in described[0]["responses"]


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_the_example_of_a_body_is_valid(model: type[Body]) -> None:
    model.model_validate(sample(model))


def test_every_field_of_a_reply_has_an_example_or_a_fixed_value(service: UserService) -> None:
    described = service.client.get("/openapi.json").json["components"]["schemas"]
    models = {name: schema for name, schema in described.items() if hasattr(schemas, name)}
    assert {"UserReply", "UserList", "TokenPairReply", "JwkReply", "OAuthError"} <= set(models)
    for name, schema in models.items():
        for field, value in schema["properties"].items():
            assert {"example", "const", "enum", "items"} & set(value), f"{name}.{field}"


def test_the_example_of_a_sign_in_is_the_demo_administrator(service: UserService) -> None:
    answer = service.client.post("/login", json=sample(schemas.LoginBody))
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert service.client.get("/users", headers=headers).status_code == 200


def test_the_example_of_a_registration_opens_an_account(service: UserService) -> None:
    answer = service.client.post("/register", json=sample(schemas.RegisterBody))
    assert (answer.status_code, answer.json["email"]) == (201, schemas.EMAIL)
