"""Schemathesis asks every route for what its description allows and forbids, with every role.

No answer is a server error or of an undocumented status, media type or shape; nothing that the description forbids is
accepted. Requests are the same in every run. They come from an address of their own, so that the limits on failed
sign-ins that they run into hold up no other test.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_dict
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.shop import Shop
from tests.e2e.test_access import CALLERS, EVERY_SERVICE, Row, World, rows

ADDRESS = "127.0.0.2"
NOTHING_CAN_BE_WRONG = (Unsatisfiable,)  # where a route takes nothing
ROLES = ("anonymous", "customer", "admin", "service")
EXAMPLES_LET_IN, EXAMPLES_REFUSED = 8, 2  # of each way to make a request
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


class FromAnotherAddress(HTTPAdapter):
    """Connects from `ADDRESS`."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(ADDRESS, 0))


@pytest.fixture(scope="module")
def world(shop: Shop) -> Iterator[World]:
    if shop.stack is None and not shop.mongo_url:
        pytest.skip("fills the shop with rubbish")
    made = World(shop)
    made.session.mount("http://", FromAnotherAddress())
    yield made
    made.close()


@pytest.fixture(scope="module")
def operations(world: World) -> dict[tuple[str, str, str], APIOperation[Any, Any, Any, Any]]:
    found = {}
    for service, url in world.shop.urls.items():
        description = requests.get(f"{url}/openapi.json", timeout=30).json()
        schema = from_dict(description)
        schema.config.update(base_url=url)
        for result in schema.get_all_operations():
            operation = result.ok()
            found[service, operation.method.upper(), operation.path] = operation
    return found


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(
    "row", [row for row in rows() if row.path not in EVERY_SERVICE], ids=lambda row: f"{row.method} {row.path}"
)
def test_every_answer_is_as_described(
    world: World,
    operations: dict[tuple[str, str, str], APIOperation[Any, Any, Any, Any]],
    row: Row,
    mode: GenerationMode,
) -> None:
    operation = operations[row.service, row.method, row.path]
    world.mug = world.product()
    known = {"order_id": world.order(), "product_id": world.mug, "user_id": world.other.id}
    named = {name: value for name, value in known.items() if f"{{{name}}}" in row.path}
    for role in ROLES:
        is_let_in = row.expected[CALLERS.index(role)] < 400
        token = world.token(role)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for path_parameters in [named, None] if named and is_let_in else [None]:
            requests_to_make = operation.as_strategy(mode, path_parameters=path_parameters)
            with contextlib.suppress(*NOTHING_CAN_BE_WRONG if mode is GenerationMode.NEGATIVE else ()):
                ask(world, requests_to_make, headers, is_let_in=is_let_in)


def ask(
    world: World, requests_to_make: st.SearchStrategy[schemathesis.Case], headers: dict[str, str], *, is_let_in: bool
) -> None:
    @settings(
        max_examples=EXAMPLES_LET_IN if is_let_in else EXAMPLES_REFUSED,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests_to_make)
    def check(case: schemathesis.Case) -> None:
        answer = case.call(session=world.session, headers=headers, timeout=30)
        if answer.status_code != 414:  # of the server before the service, which has not seen the request
            case.validate_response(answer, checks=CHECKS)

    check()
