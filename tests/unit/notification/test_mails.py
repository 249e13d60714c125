"""Mails worth reading: each is compared with a golden file; `golden_mails.py` says how to write them anew."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any, cast

import pytest
from jinja2 import UndefinedError

from notification_service import composing
from notification_service.channels import EmailChannel
from notification_service.composing import Composer
from notification_service.config import MAIL_FROM
from notification_service.events import read_event
from notification_service.model import Shop
from notification_service.smtp_pool import SmtpPool
from notification_service.wording import REASONS, WORDINGS
from tests.unit.notification.golden_mails import CASES, MAILS, SHOP, example, html, notifications, parts
from tests.unit.notification.notification_app import event


class Page(HTMLParser):
    """Reads HTML: its text, its links, the elements that are open, and everything that a mail program would load."""

    EMPTY = ("meta", "br")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.links, self.loaded, self.tags = "", list[str](), list[str](), set[str]()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += "\n" if tag == "br" else ""
        self.open += [tag] if tag not in self.EMPTY else []
        self.links += [value or "" for name, value in attributes if name == "href"]
        self.loaded += [tag for name, value in attributes if name in ("src", "background") or "url(" in (value or "")]

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def mail_of(kind: str = "order_shipped", **details: Any) -> tuple[str, Page]:
    """Return the text and the HTML of the e-mail about a golden event, with other details. None removes one."""
    changed = example(kind)
    changed["data"] |= details
    mail = notifications(changed)[0]
    return mail.body, Page(html(mail))


def test_every_kind_of_event_and_reason_has_a_golden_mail() -> None:
    assert {name.partition(".")[0] for name in CASES} == set(WORDINGS)
    assert {details["reason"] for details in CASES.values() if "reason" in details} == set(REASONS)
    assert {file.stem for file in MAILS.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_mail_is_as_its_golden_file(name: str) -> None:
    assert parts(name) == {file.name: file.read_text() for file in MAILS.glob(f"{name}.*") if file.stem == name}


@pytest.mark.parametrize("name", CASES)
def test_a_mail_shows_everything_in_both_of_its_parts(name: str) -> None:
    mail = parts(name)
    text, page = mail[f"{name}.txt"], Page(mail[f"{name}.html"]).text
    shown = ["Hello,", "Coffee mug", "9.99 EUR", "19.98 EUR", "“Dünen”", "4.50 EUR", "24.48 EUR", "Ada Lovelace"]
    shown += ["12 St James's Square", "London SW1Y 4LB", SHOP.name, *SHOP.address]
    shown += ["Parcel Post, PP123456789GB"] if name in ("order_shipped", "order_delivered") else []
    assert [words for words in shown if words not in text or words not in page] == []


@pytest.mark.parametrize("name", CASES)
def test_html_is_balanced_and_loads_nothing(name: str) -> None:
    source = (MAILS / f"{name}.html").read_text()
    page = Page(source)
    assert (page.open, page.loaded) == ([], [])
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "base"})
    assert "@import" not in source
    assert source.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "prefers-color-scheme: dark" in source


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ shop }}", "{% if %}"]
)
def test_names_are_text_wherever_they_are_shown(name: str) -> None:
    text, page = mail_of(
        lines=[{"name": name, "quantity": 1, "unit_price": "1.00"}],
        tracking={"carrier": name, "number": name},
        shipping_address={"name": name, "line1": name},
    )
    assert text.count(name) == page.text.count(name) - 1 == 6  # the preheader repeats the sentence
    assert page.tags.isdisjoint({"script", "img"})


def test_the_shop_is_text_as_well() -> None:
    shop = Shop("<b>&Co</b>", ("1 <i>Street</i>",))
    (mail,) = Composer(shop).notifications_of(read_event(b'{"id": "1.a", "type": "order_paid", "data": %s}' % DATA))
    assert Page(html(mail)).tags.isdisjoint({"b", "i"})
    assert mail.body.endswith("\n<b>&Co</b>\n1 <i>Street</i>\n")


DATA = b'{"order_id": "1", "user": {"id": "u", "email": "ana@example.com"}}'


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)//https://x.example",
        "data:text/html,hi",
        "ftp://parcels.example.com/1",
        "https:",
        "https:///path",
        "//parcels.example.com/1",
        "parcels.example.com",
        "https://[half",
        "https://parcels.example.com/a b",
        "https://parcels.example.com/\n1",
        "https://parcels.example.com/" + "x" * 2000,
        7,
        None,
    ],
)
def test_what_is_no_address_of_a_web_page_is_no_link(url: Any) -> None:
    text, page = mail_of(tracking={"carrier": "Parcel Post", "url": url})
    assert page.links == []
    assert "Track your parcel" not in text + page.text
    assert "Tracking: Parcel Post\n" in text
    assert "Tracking: Parcel Post" in page.text


@pytest.mark.parametrize(
    "url", ["http://p.example/1", "HTTPS://p.example:8443/?a=1&b=%22<x>", "https://müller.example/ä"]
)
def test_the_address_of_a_web_page_is_a_link(url: str) -> None:
    text, page = mail_of(tracking={"url": url})
    assert page.links == [url]
    assert f"\nTrack your parcel: {url}\n" in text
    assert "Tracking:" not in text + page.text


# Optional parts


def test_an_event_with_nothing_but_the_order_gives_a_short_mail() -> None:
    email, sms = notifications(event(kind="order_refunded", phone="+32"))
    assert email.body == (
        "Hello,\n\nYour payment for order order-1 has been refunded.\n\n"
        "Example Shop\nRue du Marché 1, 1000 Brussels\nBelgium\n"
    )
    assert Page(html(email)).lines[-5:] == ["Hello,", sms.body, SHOP.name, *SHOP.address]
    assert (sms.body, sms.render_html) == ("Your payment for order order-1 has been refunded.", None)


def test_an_event_that_waits_since_before_the_upgrade_gives_a_good_mail() -> None:
    old = example("order_shipped")
    del old["dataschema"]
    for name in ("shipping_address", "payment", "tracking"):
        del old["data"][name]
    assert notifications(old)[0].body == (
        "Hello,\n\nYour order 0f8fad5bd9cb469fa16570867728950e has been shipped.\n\n"
        "2 x Coffee mug, 9.99 EUR each: 19.98 EUR\n1 x Notebook, “Dünen”: 4.50 EUR\nTotal: 24.48 EUR\n\n"
        "Example Shop\nRue du Marché 1, 1000 Brussels\nBelgium\n"
    )


def test_a_line_without_its_price_is_shown_with_its_quantity() -> None:
    text, page = mail_of(lines=[{"name": "Mug", "quantity": 2, "unit_price": 9.99}])
    assert "\n2 x Mug\nTotal: 24.48 EUR\n" in text
    assert "Quantity: 2" in page.text


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        ({"name": "Ana", "line1": "Rue 1", "line2": "Box", "city": "Brussels", "postal_code": "1000", "country": "BE"},
         ["Ana", "Rue 1", "Box", "1000 Brussels", "BE"]),
        ({"name": "Ben", "line1": "1 St", "city": "Austin", "region": "TX", "postal_code": "78701", "country": "US"},
         ["Ben", "1 St", "Austin, TX 78701", "US"]),
        ({"name": "Cy", "city": 7, "line1": "", "postal_code": "1000"}, ["Cy", "1000"]),
        ({"name": "Di\nBcc: x@y.z", "line1": "\x00\u202e \t", "region": "R"}, ["Di Bcc: x@y.z", "R"]),
    ],
)  # fmt: skip
def test_an_address_is_written_as_in_its_country_and_without_its_unknown_parts(
    address: dict[str, Any], lines: list[str]
) -> None:
    text, _ = mail_of(shipping_address=address)
    assert "\n\nShipping address:\n" + "\n".join(lines) + "\n\n" in text


@pytest.mark.parametrize("address", [None, {}, "London", [1], {"name": None}, {"street": "unknown"}])
def test_without_an_address_none_is_shown(address: Any) -> None:
    text, page = mail_of(shipping_address=address)
    assert "Shipping address" not in text + page.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A\r\nB", "A B"),
        ("  a   b ", "a b"),
        ("\u202egnat", "gnat"),
        ("👨\u200d👩\u200d👧 mug", "👨\u200d👩\u200d👧 mug"),
    ],
)
def test_a_name_is_shown_on_one_line(name: str, shown: str) -> None:
    text, page = mail_of(lines=[{"name": name, "quantity": 3}])
    assert f"\n3 x {shown}\n" in text
    assert shown in page.text


# The SMS


@pytest.mark.parametrize(
    ("kind", "details", "sentence"),
    [
        ("order_created", {}, "Thank you, we have received your order {}."),
        ("order_paid", {}, "Thank you, we have received your payment of 24.48 EUR for order {}."),
        ("order_paid", {"payment": {"amount": 24.48}}, "Thank you, we have received your payment for order {}."),
        ("order_cancelled", {"reason": "customer"}, "Your order {} has been cancelled, as you asked."),
        ("order_cancelled", {"reason": "admin"}, "Your order {} has been cancelled by the shop."),
        ("order_cancelled", {"reason": "unpaid"}, "Your order {} has been cancelled because it was not paid in time."),
        ("order_cancelled", {"reason": "newer than this code"}, "Your order {} has been cancelled."),
        ("order_cancelled", {"reason": ["customer"]}, "Your order {} has been cancelled."),
        ("order_refunded", {}, "Your payment of 24.48 EUR for order {} has been refunded."),
        ("order_shipped", {}, "Your order {} has been shipped with Parcel Post."),
        ("order_shipped", {"tracking": {"carrier": "{order}\n2"}}, "Your order {} has been shipped with {{order}} 2."),
        ("order_delivered", {}, "Your order {} has been delivered, enjoy!"),
    ],
)
def test_an_sms_is_one_sentence_which_also_begins_the_mail(kind: str, details: dict[str, Any], sentence: str) -> None:
    changed = example(kind)
    changed["data"] |= details
    changed["data"]["user"]["phone"] = "+3222345678"
    email, sms = notifications(changed)
    assert (sms.channel, sms.recipient) == ("sms", "+3222345678")
    assert sms.body == sentence.format(changed["data"]["order_id"])
    assert email.body.startswith(f"Hello,\n\n{sms.body}\n")


# The message


class Outbox(SmtpPool):
    """A pool of connections that keeps the last message as bytes."""

    max_connections = 1

    def __init__(self) -> None:
        self.message = b""

    def send(self, message: EmailMessage, _sender: str, _recipient: str, *, timeout: float) -> None:
        assert timeout > 0
        self.message = message.as_bytes()


@pytest.mark.parametrize("kind", WORDINGS)
def test_a_message_has_the_text_and_the_html_as_alternatives_in_seven_bits(kind: str) -> None:
    outbox, mail = Outbox(), notifications(example(kind))[0]
    EmailChannel(outbox, MAIL_FROM).send(mail)
    assert outbox.message.isascii()
    assert max(map(len, outbox.message.split(b"\n"))) <= 998  # RFC 5322, 2.1.1
    message = cast(EmailMessage, message_from_bytes(outbox.message, policy=policy.default))
    text, page = (cast(EmailMessage, part) for part in message.iter_parts())
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in (text, page)] == ["text/plain", "text/html"]
    assert [part.get_content() for part in (text, page)] == [mail.body, html(mail)]
    assert message["Subject"] == mail.subject


def test_a_template_with_a_wrong_name_is_an_error_and_not_a_gap(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("email.txt", "email.html"):
        (tmp_path / name).write_text("{{ event.lines }} {{ evnt.total }}")
    monkeypatch.setattr(composing, "TEMPLATES", tmp_path)
    with pytest.raises(UndefinedError):
        notifications(example("order_paid"))
