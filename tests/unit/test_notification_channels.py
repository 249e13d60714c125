"""The channels: what goes out, how failures are told apart, and that no address is ever logged."""

import logging
import smtplib
from email.message import EmailMessage

import pytest

from notification_service.channels import EmailChannel, SimulatedChannel, channels
from notification_service.model import Notification
from notification_service.notifications import NotSent, Refused
from notification_service.smtp import SmtpServer


class FakeServer(SmtpServer):
    """Remembers the messages, or fails."""

    sent: list[EmailMessage]
    failure: Exception | None

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(message)


def server(failure: Exception | None = None) -> FakeServer:
    fake = FakeServer("mail", 25)
    fake.__dict__.update(sent=[], failure=failure)
    return fake


def notification(recipient: str = "ana@example.com", channel: str = "email") -> Notification:
    return Notification("o-1.order_created", "order_created", "o-1", "u-1", channel, recipient, "Héllo", "Bödy\n")


def test_an_email_names_who_and_what_and_has_a_lasting_id() -> None:
    fake = server()
    channel = EmailChannel(fake, "shop@example.com")
    channel.send(notification())
    channel.send(notification())
    first, again = fake.sent
    assert (first["To"], first["From"], first["Subject"]) == ("ana@example.com", "shop@example.com", "Héllo")
    assert first.get_content() == "Bödy\n"
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("recipient", ["nobody", "a@b@c", "a@b.c, d@e.f", "a b@c.d", "<x>", "@", "a@"])
def test_what_is_no_address_is_refused(recipient: str) -> None:
    fake = server()
    with pytest.raises(Refused):
        EmailChannel(fake, "shop@example.com").send(notification(recipient))
    assert fake.sent == []


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (
            smtplib.SMTPRecipientsRefused({"ana@example.com": (550, b"no ana@example.com here")}),
            Refused,
            "the mail server refuses the recipient (550)",
        ),
        (
            smtplib.SMTPRecipientsRefused({"ana@example.com": (450, b"later")}),
            NotSent,
            "the mail server refuses the recipient (450)",
        ),
        (smtplib.SMTPDataError(554, b"no ana@example.com"), NotSent, "SMTPDataError (554)"),
        (smtplib.SMTPAuthenticationError(535, b"no"), NotSent, "SMTPAuthenticationError (535)"),
        (smtplib.SMTPServerDisconnected("bye"), NotSent, "SMTPServerDisconnected"),
        (ConnectionRefusedError("x"), NotSent, "ConnectionRefusedError"),
        (TimeoutError("x"), NotSent, "TimeoutError"),
    ],
)
def test_failures_are_told_apart_without_naming_anybody(failure: Exception, kind: type[NotSent], text: str) -> None:
    with pytest.raises(NotSent) as raised:
        EmailChannel(server(failure), "shop@example.com").send(notification())
    assert (type(raised.value), str(raised.value)) == (kind, text)


def test_without_a_mail_server_email_is_simulated_and_the_log_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    simulated = channels(None, "shop@example.com")
    for kind in ("email", "sms"):
        simulated[kind].send(notification(channel=kind))
    assert caplog.messages == ["simulated email", "simulated sms"]
    assert "ana@example.com" not in str([vars(record) for record in caplog.records])


def test_with_a_mail_server_only_the_sms_is_simulated() -> None:
    real = channels(SmtpServer("mail", 25), "shop@example.com")
    assert isinstance(real["email"], EmailChannel)
    assert isinstance(real["sms"], SimulatedChannel)
