"""Whatever anybody sends: it is refused, or it is what the field means. Values are made up by hypothesis."""

import re
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

import order_service.schemas
import product_service.reservation_schemas
import product_service.schemas
import user_service.schemas
from chassis.errors import Invalid
from chassis.schemas import Body
from chassis.web.headers import idempotency_key
from order_service.schemas import MAX_QUANTITY, OrderBody
from user_service.emails import MAX_EMAIL_LENGTH, canonical_email
from user_service.schemas import Email

MODULES = (
    user_service.schemas,
    product_service.schemas,
    product_service.reservation_schemas,
    order_service.schemas,
)
BODIES = [model for model in Body.__subclasses__() if model.__module__ in {module.__name__ for module in MODULES}]
FIELDS = [(model, name) for model in BODIES for name in model.model_fields]
OPERATORS: list[Any] = [{"$ne": None}, {"$gt": ""}, {"$regex": ".*"}, {"$where": "sleep(1000)"}, [{"$ne": None}]]

email = TypeAdapter(Email)
whatever = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
addresses = st.emails() | st.builds("{}@{}.example".format, st.text(max_size=70), st.text(max_size=70)) | st.text()


def faulty_fields(model: type[Body], body: dict[str, Any]) -> set[Any]:
    try:
        model.model_validate(body)
    except ValidationError as error:
        return {fault["loc"][0] for fault in error.errors() if fault["loc"]}
    return set()


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_no_field_takes_an_operator(model: type[Body], name: str) -> None:
    for operator in OPERATORS:
        assert name in faulty_fields(model, {name: operator})


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_no_field_takes_control_characters_or_half_characters(model: type[Body], name: str) -> None:
    for text in ("correct\x00horse", "\x1b[2Jcorrect horse", "correct horse\x7f", "correct horse\ud800"):
        assert name in faulty_fields(model, {name: text})


@pytest.mark.parametrize(
    ("model", "name", "limit"),
    [
        (user_service.schemas.RegisterBody, "email", 254),
        (user_service.schemas.RegisterBody, "password", 128),
        (user_service.schemas.ProfileBody, "name", 100),
        (user_service.schemas.ProfileBody, "phone", 40),
        (product_service.schemas.ProductBody, "name", 200),
        (product_service.schemas.ProductPatch, "description", 5000),
        (product_service.schemas.ProductPatch, "category", 100),
        (product_service.schemas.ProductPatch, "image_url", 2000),
        (product_service.schemas.ProductQuery, "q", 200),
    ],
)
def test_a_text_is_measured_as_it_came_and_its_limit_is_named_in_characters(
    model: type[BaseModel], name: str, limit: int
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: " " + "x" * limit})
    messages = [error["msg"] for error in caught.value.errors() if error["loc"] == (name,)]
    assert messages == [f"String should have at most {limit} characters"]


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
@given(name=st.text())
def test_no_body_takes_a_field_that_it_does_not_have(model: type[Body], name: str) -> None:
    if name not in model.model_fields:
        assert name in faulty_fields(model, {name: 1})


@given(whatever | st.integers(-1, MAX_QUANTITY + 1))
def test_a_quantity_is_a_whole_number_from_1_to_1000(quantity: Any) -> None:
    accepted = not faulty_fields(OrderBody, {"product_id": "mug", "quantity": quantity})
    assert accepted == (type(quantity) is int and 1 <= quantity <= MAX_QUANTITY) or quantity is None


@given(st.lists(st.tuples(st.sampled_from(["mug", "pen"]), st.integers(1, MAX_QUANTITY)), min_size=1, max_size=6))
def test_the_same_product_in_several_items_counts_as_one(pairs: list[tuple[str, int]]) -> None:
    items = [{"product_id": product, "quantity": quantity} for product, quantity in pairs]
    most = max(sum(q for product, q in pairs if product == wanted) for wanted, _ in pairs)
    if most > MAX_QUANTITY:
        with pytest.raises(ValidationError):
            OrderBody.model_validate({"items": items})
    else:
        assert len(OrderBody.model_validate({"items": items}).all_items()) == len(pairs)


@given(addresses)
def test_what_is_accepted_as_an_e_mail_address_can_stand_in_a_header(text: str) -> None:
    try:
        accepted = email.validate_python(text)
    except ValidationError:
        return
    assert len(accepted) <= MAX_EMAIL_LENGTH
    local, _, domain = accepted.rpartition("@")
    assert 1 <= len(local) <= 64
    assert "@" not in local
    assert "." in domain
    assert not re.search(r"[\s\x00-\x1f\x7f<>,;:\"\\]", accepted)


@given(addresses)
def test_spellings_of_an_e_mail_address_are_compared_as_one(text: str) -> None:
    try:
        accepted = email.validate_python(text)
    except ValidationError:
        return
    assert canonical_email(accepted) == canonical_email(text) == canonical_email(f" {text}\n")
    assert canonical_email(canonical_email(text)) == canonical_email(text)
    if text.isascii():
        assert canonical_email(text.upper()) == canonical_email(text.lower())


@given(st.text(st.characters(max_codepoint=255), max_size=300) | st.text(st.characters(codec="ascii"), min_size=250))
def test_an_idempotency_key_is_1_to_255_visible_ascii_characters(text: str) -> None:
    environ = {"HTTP_IDEMPOTENCY_KEY": text}
    with Flask("shop").test_request_context(environ_overrides=environ):
        if 1 <= len(text) <= 255 and all("!" <= character <= "~" for character in text):
            assert idempotency_key() == text
        else:
            with pytest.raises(Invalid):
                idempotency_key()
