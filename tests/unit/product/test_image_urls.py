"""The address of a product's picture leads to an https page or to a path of the shop's own page, and nowhere else."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from product_service.demo import DEMO_PRODUCTS
from product_service.schemas import ImageUrl, ProductBody

address = TypeAdapter(ImageUrl)
PAGE = "http://localhost:8080/index.html"
FORBIDDEN = " \"'<>\\^`{|}"
CHARACTERS = st.characters(max_codepoint=0x17F)


def reason(text: str) -> str:
    with pytest.raises(ValidationError) as refused:
        address.validate_python(text, strict=True)
    [error] = refused.value.errors()
    return error["msg"]


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/pictures/cup.svg",
        "/a/../b.svg?size=2&x=%20#top",
        "/a//b:c@d",
        "https://images.example",
        "https://images.example:8443/a%20cup.png?w=1#x",
        "https://[::1]/cup.png",
        "https://IMAGES.example/~ana/(1)!$&*+,;=.png",
        "/" + "x" * 1999,
    ],
)
def test_an_https_url_and_a_path_are_kept_as_they_came(text: str) -> None:
    assert address.validate_python(text, strict=True) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cup.svg",
        "./cup.svg",
        "?cup",
        "//evil.example/cup.svg",
        "///evil.example",
        "http://images.example/cup.png",
        "HTTPS://images.example/cup.png",
        "https:/images.example",
        "https:images.example",
        "https://",
        "https:///cup.png",
        "https://images.example:99999/",
        "https://images.example:x/",
        "https://[::1/",
        "https://ana:secret@images.example/",
        "https://@images.example/",
        "javascript:alert(1)",
        "data:image/svg+xml,<svg/>",
        "ftp://images.example/",
        " /cup.svg",
        "\\evil.example",
    ],
)
def test_anything_else_is_refused_and_the_reason_says_how_it_must_begin(text: str) -> None:
    assert reason(text).endswith("must be a URL that begins with https://, or a path that begins with one /")


@pytest.mark.parametrize("character", [*FORBIDDEN, "\t", "\n", "\x00", "\x7f", "\xa0", "ä", "\u202e", "\u3164"])
@pytest.mark.parametrize("start", ["/", "https://images.example/"])
def test_a_character_that_must_be_escaped_is_refused_and_named(start: str, character: str) -> None:
    for text in (f"{start}a{character}b", f"{start}{character}"):
        assert reason(text).endswith("must be printable ASCII without blanks, quotes and any of <>\\^`{|}")


def test_at_most_2000_characters_are_accepted() -> None:
    assert reason("/" + "x" * 2000) == "String should have at most 2000 characters"


@given(st.builds("{}{}".format, st.sampled_from(["/", "//", "https://", "https://a", ""]), st.text(CHARACTERS)))
@example("/\\evil.example")
@example("/\t/evil.example")
@example("/..//evil.example")
def test_no_accepted_address_leads_to_another_host_without_tls(text: str) -> None:
    try:
        accepted = address.validate_python(text, strict=True)
    except ValidationError:
        return
    assert accepted == text
    assert not set(text) & set(FORBIDDEN)
    leads_to = urlsplit(urljoin(PAGE, accepted))
    assert leads_to.scheme == "https" or leads_to.netloc == "localhost:8080"


@pytest.mark.parametrize("value", [1, True, ["/a"], {"url": "/a"}])
def test_only_a_text_is_an_address(value: object) -> None:
    with pytest.raises(ValidationError):
        ProductBody.model_validate({"name": "Cup", "price": "1.00", "stock": 1, "image_url": value})


def test_every_demo_product_has_a_picture_of_its_own() -> None:
    pictures = [address.validate_python(product["image_url"]) for product in DEMO_PRODUCTS.values()]
    assert len(set(pictures)) == 12
    assert all(picture.startswith("/pictures/") and picture.endswith(".svg") for picture in pictures)
