"""The headers of every answer, and which other origins may read them."""

from pathlib import Path

import pytest
from flask import Response, jsonify
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from chassis.auth.access import public
from chassis.config import ConfigurationError, WebSettings
from chassis.errors import Conflict, Problem, TooManyRequests, Unauthorized, Unavailable
from chassis.web import docs
from chassis.web.app import make_app
from chassis.web.headers import SECURITY_HEADERS
from chassis.web.responses import conditional_response

SHOP, EVIL = "https://shop.example.com", "https://evil.example"

PROBLEMS: dict[str, Problem] = {
    "401": Unauthorized(),
    "409": Conflict(),
    "429": TooManyRequests(retry_after=7),
    "503": Unavailable(retry_after=7),
}


def make_client(*origins: str) -> FlaskClient:
    app: OpenAPI = make_app("shop", "shop", "", cors_origins=origins)

    @app.get("/things")
    @public
    def things() -> Response:
        return jsonify(things=[])

    @app.delete("/things")
    @public
    def fail() -> Response:
        raise KeyError("unexpected")

    @public
    def thing(name: str) -> Response:
        if name in PROBLEMS:
            raise PROBLEMS[name]
        return conditional_response(jsonify(name=name))

    app.add_url_rule("/things/<name>", view_func=thing)
    docs.init_app(app)
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/things", 200), ("GET", "/nothing", 404), ("PUT", "/things", 405), ("DELETE", "/things", 500)],
)
def test_every_answer_has_the_headers_of_owasp(method: str, path: str, status: int) -> None:
    answer = make_client().open(path, method=method)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name, _ in SECURITY_HEADERS} == {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/docs/assets/css/swagger-ui.css"])
def test_the_api_docs_run_only_scripts_of_the_service_itself(path: str) -> None:
    answer = make_client().get(path)
    assert (answer.status_code, answer.headers["X-Frame-Options"]) == (200, "DENY")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert policy.startswith("default-src 'self';" if path == "/docs" else "default-src 'none';")
    answer.close()


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origins", [(), (SHOP,)])
def test_pages_of_other_origins_may_not_read_anything(origins: tuple[str, ...], method: str) -> None:
    headers = {"Origin": EVIL, "Access-Control-Request-Method": "DELETE"}
    answer = make_client(*origins).open("/things", method=method, headers=headers)
    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control-")]  # noqa: SIM118


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
def test_pages_of_a_named_origin_may_read_answers_and_errors(origin: str) -> None:
    client = make_client(SHOP, "http://localhost:3000")
    for path in ("/things", "/nothing"):
        answer = client.get(path, headers={"Origin": origin})
        assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (origin, "Origin")
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/things/401", 401),
        ("GET", "/things/409", 409),
        ("GET", "/things/429", 429),
        ("GET", "/things/503", 503),
        ("DELETE", "/things", 500),
        ("PUT", "/things", 405),
        ("GET", "/things?a=1", 200),
        ("GET", "/things/tea", 304),
    ],
)
def test_a_page_may_read_every_answer_and_the_headers_that_tell_what_to_do(method: str, path: str, status: int) -> None:
    known = make_client().get("/things/tea").headers["ETag"]
    headers = {"Origin": SHOP, "If-None-Match": known}
    answer = make_client(SHOP).open(path, method=method, headers=headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, SHOP)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert exposed == ["ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID", "traceresponse"]
    assert {"X-Request-ID", "traceresponse"} <= {*answer.headers.keys()}
    assert ("ETag" in answer.headers, answer.headers.get("Retry-After")) == (
        status == 304,
        "7" if status in (429, 503) else None,
    )


def test_the_response_to_a_preflight_lists_methods_and_headers() -> None:
    headers = {"Origin": SHOP, "Access-Control-Request-Method": "DELETE"}
    answer = make_client(SHOP).options("/things", headers=headers)
    assert answer.status_code == 200
    assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS"}
    assert {"Authorization", "Idempotency-Key"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))


def origins(value: str, monkeypatch: pytest.MonkeyPatch, environment: str = "production") -> tuple[str, ...]:
    monkeypatch.setenv("MONGO_URL", "mongodb://u:pw@h/shop")
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.setenv("CORS_ORIGINS", value)
    return WebSettings.load().cors_origins


@pytest.mark.parametrize("value", ["https://shop.example.com,http://localhost:3000", "http://[::1]:80", ""])
def test_origins_are_read(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert origins(value, monkeypatch) == tuple(filter(None, value.split(",")))


@pytest.mark.parametrize("environment", ["production", "development"])
def test_origins_that_are_set_replace_the_default(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert origins(SHOP, monkeypatch, environment) == (SHOP,)


def test_only_in_development_the_storefront_needs_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = ("http://localhost:8080", "http://127.0.0.1:8080")
    defaults = {name: origins("", monkeypatch, name) for name in ("development", "production", "staging", "")}
    assert defaults == {"development": pages, "production": (), "staging": (), "": ()}
    monkeypatch.delenv("CORS_ORIGINS")
    assert WebSettings.load().cors_origins == ()
    assert WebSettings(environment="development", mongo_url="mongodb://h/shop").cors_origins == pages


@pytest.mark.parametrize("value", ["*", "null", "shop.example.com", "https://shop.example.com/", "https://*.example"])
def test_a_value_that_is_no_origin_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS must be origins such as"):
        origins(value, monkeypatch)


def test_the_gateway_asks_for_tls_where_a_proxy_speaks_it() -> None:
    gateway = Path(__file__).parents[3] / "deploy" / "gateway"
    assert (
        'map "" $strict_transport_security {\n    default "max-age=31536000";'
        in (gateway / "behind-proxy.conf").read_text()
    )
    header = "add_header Strict-Transport-Security $strict_transport_security always;"
    assert (gateway / "nginx.conf").read_text().count(header) == 2  # nginx inherits none where a location has its own


def test_the_gateway_says_each_header_of_its_own_answers_once() -> None:
    lines = (Path(__file__).parents[3] / "deploy" / "gateway" / "nginx.conf").read_text().splitlines()
    names = [line.split()[1] for line in lines if line.startswith("            add_header")]
    assert sorted(names) == sorted(set(names))
    assert {name for name, _ in SECURITY_HEADERS} | {"X-Request-ID", "Retry-After"} <= set(names)
