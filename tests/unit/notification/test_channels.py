"""The channels: their messages and their errors. No address is ever logged."""

import dataclasses
import json
import socket
from email.message import EmailMessage

import pytest
from jinja2 import UndefinedError

from chassis import logs
from notification_service.addresses import mailbox
from notification_service.channels import EmailChannel, SimulatedChannel, channels
from notification_service.config import MAIL_FROM
from notification_service.delivery import DeliveryError, PermanentDeliveryError
from notification_service.model import Notification
from notification_service.smtp_connection import SmtpServer
from notification_service.smtp_pool import SmtpPool


class FakePool(SmtpPool):
    """Records the messages, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__(SmtpServer("mail", 25))
        self.sent: list[EmailMessage] = []
        self.failure = failure

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(message)


def broken() -> str:
    raise UndefinedError("'evnt' is undefined")


def notification(recipient: str = "ana@example.com", channel: str = "email") -> Notification:
    return Notification("o-1.order_created", "order_created", "o-1", "u-1", channel, recipient, "Héllo", "Bödy\n")


def test_an_email_has_its_headers_and_a_message_id_that_does_not_change() -> None:
    fake = FakePool()
    channel = EmailChannel(fake, MAIL_FROM)
    channel.send(notification())
    channel.send(notification())
    first, again = fake.sent
    assert (first["To"], first["From"], first["Subject"]) == ("ana@example.com", "shop@example.com", "Héllo")
    assert first.get_content() == "Bödy\n"
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Auto-Submitted"] == "auto-generated"


def test_an_email_without_html_is_plain_text_and_one_with_html_has_both() -> None:
    fake = FakePool()
    for mail in (notification(), dataclasses.replace(notification(), render_html=lambda: "<p>Bödy</p>\n")):
        EmailChannel(fake, MAIL_FROM).send(mail)
    plain, both = fake.sent
    assert plain.get_content_type() == "text/plain"
    assert both.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content()) for part in both.iter_parts()] == [  # type: ignore[attr-defined]
        ("text/plain", "Bödy\n"),
        ("text/html", "<p>Bödy</p>\n"),
    ]
    assert both["Message-ID"] == plain["Message-ID"]


def test_html_is_rendered_only_where_it_is_sent_and_without_it_no_mail_goes_out() -> None:
    mail, fake = dataclasses.replace(notification(), render_html=broken), FakePool()
    SimulatedChannel().send(mail)
    with pytest.raises(UndefinedError):
        EmailChannel(fake, MAIL_FROM).send(mail)
    assert fake.sent == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\u2028", "\x0b"])
def test_a_subject_stays_one_header(line_end: str) -> None:
    fake = FakePool()
    EmailChannel(fake, MAIL_FROM).send(dataclasses.replace(notification(), subject=f"Hi{line_end}Bcc: eve@x.example"))
    assert (fake.sent[0]["Subject"], fake.sent[0]["Bcc"]) == ("Hi Bcc: eve@x.example", None)


@pytest.mark.parametrize(
    "recipient",
    ["nobody", "a@b@c", "a@b.c, d@e.f", "a b@c.d", "<x>", "@", "a@", "a@☕.example", "a@b..c", "a@1.2", "a\n@b.c"],
)
def test_an_invalid_address_is_a_permanent_error(recipient: str) -> None:
    fake = FakePool()
    with pytest.raises(PermanentDeliveryError):
        EmailChannel(fake, MAIL_FROM).send(notification(recipient))
    assert fake.sent == []


@pytest.mark.parametrize("error", [PermanentDeliveryError("refused (550)"), DeliveryError("busy (451)")])
def test_an_error_of_the_mail_server_reaches_the_caller(error: DeliveryError) -> None:
    with pytest.raises(DeliveryError) as raised:
        EmailChannel(FakePool(error), MAIL_FROM).send(notification())
    assert raised.value is error


@pytest.mark.parametrize("failure", [ConnectionRefusedError("ana@example.com"), TimeoutError("ana@example.com")])
def test_an_unreachable_mail_server_is_a_temporary_error_whose_text_names_nobody(
    failure: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_args: object, **_kwargs: object) -> socket.socket:
        raise failure

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(DeliveryError) as raised:
        EmailChannel(SmtpPool(SmtpServer("mail", 25)), MAIL_FROM).send(notification())
    assert (type(raised.value), str(raised.value)) == (DeliveryError, type(failure).__name__)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("shop@example.com", "shop@example.com"),
        ("The Shop <shop@example.com>", "The Shop <shop@example.com>"),
        ('"Shop, Inc" <shop@example.com>', '"Shop, Inc" <shop@example.com>'),
        ("Shop Inc. <shop@example.com>", '"Shop Inc." <shop@example.com>'),
        ("Shöp <shop@müller.example>", "Shöp <shop@xn--mller-kva.example>"),
        ("shop@FAß.example", "shop@xn--fa-hia.example"),
        ("jörg@例え.テスト", "jörg@xn--r8jz45g.xn--zckzah"),
        ('"a b"@localhost', '"a b"@localhost'),
    ],
)
def test_a_mailbox_keeps_its_name_and_gets_a_domain_that_every_mail_server_knows(text: str, written: str) -> None:
    assert str(mailbox(text)) == written


def test_without_a_mail_server_email_is_simulated_and_the_log_names_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("notification-consumer")
    simulated = channels(None, MAIL_FROM)
    with logs.bind_request_id("r-1"):
        for kind in ("email", "sms"):
            simulated[kind].send(notification(channel=kind))
    output = capsys.readouterr().out
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["message"] for line in lines] == [
        f"notification simulated: no provider for {kind}" for kind in ("email", "sms")
    ]
    assert {(line["request_id"], line["event_id"]) for line in lines} == {("r-1", notification().event_id)}
    assert "ana@example.com" not in output


def test_with_a_mail_server_only_the_sms_is_simulated() -> None:
    real = channels(SmtpPool(SmtpServer("mail", 25)), MAIL_FROM)
    assert isinstance(real["email"], EmailChannel)
    assert isinstance(real["sms"], SimulatedChannel)
