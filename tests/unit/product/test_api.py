"""The description of product-service is valid and complete, and every route is open to the right roles only."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from jsonschema import Draft202012Validator

from chassis.auth.access import ADMIN, SERVICE, allowed_roles
from chassis.config import ConfigurationError
from chassis.errors import Problem
from chassis.schemas import Body, Reply
from product_service import config, model, reservation_schemas, schemas
from tests.openapi import faults
from tests.unit.product.product_app import make_app

LOCKED = {"401", "403"}
BODY = {"400", "413", "415"}
ALWAYS = {"422", "503"}
OWN_CLASSES = [
    c
    for module in (schemas, reservation_schemas)
    for c in vars(module).values()
    if isinstance(c, type) and c.__module__ == module.__name__
]
DESCRIBED = [c for c in OWN_CLASSES if issubclass(c, Body | Reply)]
PROBLEMS = [c for c in vars(model).values() if isinstance(c, type) and issubclass(c, Problem)]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> OpenAPI:
    return make_app(monkeypatch)


@pytest.fixture
def client(app: OpenAPI) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def described(client: FlaskClient) -> Any:
    return client.get("/openapi.json").json


def test_the_description_is_valid(described: Any) -> None:
    assert faults(described) == []


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/products", "get", {"200"}),
        ("/products", "post", {"201", "409"} | LOCKED | BODY),
        ("/categories", "get", {"200"}),
        ("/products/{product_id}", "get", {"200", "304", "404"}),
        ("/products/{product_id}", "put", {"200", "404", "409", "412"} | LOCKED | BODY),
        ("/products/{product_id}", "patch", {"200", "404", "409", "412"} | LOCKED | BODY),
        ("/products/{product_id}", "delete", {"204", "404", "412"} | LOCKED),
        ("/products/{product_id}/stock", "post", {"200", "404", "409", "412"} | LOCKED | BODY),
        ("/reservations", "get", {"200"} | LOCKED),
        ("/reservations/{order_id}", "put", {"200", "201", "409"} | LOCKED | BODY),
        ("/reservations/{order_id}", "delete", {"204"} | LOCKED),
    ],
)
def test_every_route_documents_the_statuses_that_it_gives(
    described: Any, path: str, method: str, statuses: set[str]
) -> None:
    operation = described["paths"][path][method]
    documented = set(operation["responses"])
    assert documented - {"404"} == (statuses | ALWAYS) - {"404"}
    assert "404" not in statuses or "404" in documented
    assert operation["summary"]
    assert ("security" in operation) == (statuses >= LOCKED)
    for status, answer in operation["responses"].items():
        if status >= "400":
            assert list(answer["content"]) == ["application/problem+json"]


def test_every_route_is_explained(described: Any) -> None:
    for operation in (operation for methods in described["paths"].values() for operation in methods.values()):
        assert operation["description"], operation["summary"]
        assert operation["tags"] != ["default"], operation["summary"]


def test_every_problem_of_the_service_is_an_example_of_a_route(described: Any) -> None:
    responses = [
        response
        for methods in described["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if status >= "400"
    ]
    documented = {
        code for response in responses for code in response["content"]["application/problem+json"]["examples"]
    }
    assert {problem.code for problem in PROBLEMS if problem.__module__ == model.__name__} <= documented


@pytest.mark.parametrize("schema", DESCRIBED, ids=lambda schema: schema.__name__)
def test_every_body_and_reply_has_an_example_that_obeys_its_schema(schema: type[Body | Reply]) -> None:
    description = schema.model_json_schema(mode="serialization")
    Draft202012Validator(description).validate(description["example"])
    if issubclass(schema, Body):
        schema.model_validate(description["example"])


def test_every_parameter_but_the_cursor_has_an_example_or_a_default(described: Any) -> None:
    for methods in described["paths"].values():
        for parameter in (each for operation in methods.values() for each in operation.get("parameters", ())):
            is_explained = "example" in parameter or parameter["schema"].get("default") is not None
            assert is_explained or parameter["name"] == "cursor", parameter


def test_all_routes_are_in_the_table_above(described: Any) -> None:
    assert sum(len(methods) for methods in described["paths"].values()) == 11


def test_every_route_states_who_may_use_it(app: OpenAPI) -> None:
    roles = {
        f"{method} " + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule): allowed_roles(app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    public: frozenset[str] = frozenset()
    assert roles == {
        "GET /health": public,
        "GET /ready": public,
        "GET /metrics": public,
        "GET /openapi.json": public,
        "GET /docs": public,
        "GET /docs/start.js": public,
        "GET /docs/assets/{name}": public,
        "GET /products": public,
        "GET /categories": public,
        "GET /products/{product_id}": public,
        "POST /products": {ADMIN},
        "PUT /products/{product_id}": {ADMIN},
        "PATCH /products/{product_id}": {ADMIN},
        "DELETE /products/{product_id}": {ADMIN},
        "POST /products/{product_id}/stock": {ADMIN},
        "PUT /reservations/{order_id}": {SERVICE},
        "DELETE /reservations/{order_id}": {SERVICE},
        "GET /reservations": {SERVICE},
    }


def test_the_documentation_needs_no_other_host(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith("/docs/")
        answer = client.get(address)
        assert answer.status_code == 200, address
        answer.close()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["../../../setup.py", "%2e%2e/%2e%2e/__init__.py", "nothing.js"])
def test_nothing_else_can_be_read_from_the_documentation(client: FlaskClient, name: str) -> None:
    assert client.get(f"/docs/assets/{name}").status_code == 404


def test_settings_are_read_and_the_missing_ones_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGO_URL", "JWKS_URL", "CURRENCY", "DEMO_PRODUCTS", "ENVIRONMENT", "LOG_LEVEL", "TRUSTED_PROXIES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="configuration: MONGO_URL is not set; JWKS_URL is not set"):
        config.Settings.load()
    monkeypatch.setenv("MONGO_URL", "mongodb://products:s3cret@mongo/products")
    monkeypatch.setenv("JWKS_URL", "http://users/.well-known/jwks.json")
    monkeypatch.setenv("CURRENCY", "CHF")
    settings = config.Settings.load()
    assert (settings.currency, settings.demo_products, settings.jwt_issuer) == ("CHF", False, "user-service")
