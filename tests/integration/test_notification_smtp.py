"""E-mail over real sockets: TLS, passwords, replies, deadlines and the pool of connections."""

import dataclasses
import datetime
import email
import email.policy
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from email.headerregistry import Address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from notification_service.addresses import mailbox
from notification_service.channels import EmailChannel
from notification_service.config import MAIL_FROM
from notification_service.delivery import DeliveryError, PermanentDeliveryError
from notification_service.model import Notification
from notification_service.smtp_connection import SmtpServer
from notification_service.smtp_pool import SmtpPool
from tests.at_once import at_once, meanwhile
from tests.integration.mailroom import CUT, SILENCE, MailServer, listening
from tests.signing import private_key
from tests.waiting import stalls, until

NOTIFICATION = Notification(
    "o-1.order_created", "order_created", "o-1", "u-1", "email", "ana@example.com", "Hi", "Text"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a self-signed certificate for this machine, with its key."""
    key, name = private_key("tls"), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "mail.pem"
    path.write_bytes(signed.public_bytes(pem) + secret)
    return path


@contextmanager
def secured(mail: MailServer, certificate: Path, *, implicit: bool) -> Iterator[int]:
    """Let a mail server listen that requires TLS and the password of ana."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        return AuthResult(success=login == LoginPassword(b"ana", b"p@ss"))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    tls: dict[str, Any] = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
    access = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit}
    with listening(mail, **tls, **access) as port:
        yield port


def send(url: str, *, timeout: float = 5, helo: str | None = None, sender: Address = MAIL_FROM, **changed: str) -> None:
    with closing(SmtpPool(SmtpServer.from_url(url, helo))) as connections:
        EmailChannel(connections, sender, timeout=timeout).send(dataclasses.replace(NOTIFICATION, **changed))


def deliver(mail: MailServer, *, smtputf8: bool = False, **options: Any) -> None:
    with listening(mail, enable_SMTPUTF8=smtputf8) as port:
        send(f"smtp://127.0.0.1:{port}", **options)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # smtps has TLS from the start
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_goes_out_over_tls_with_a_password(
    scheme: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mail = MailServer()
    with secured(mail, certificate, implicit=scheme == "smtps") as port:
        send(f"{scheme}://ana:p%40ss@127.0.0.1:{port}")
        with pytest.raises(DeliveryError):
            send(f"{scheme}://ana:wrong@127.0.0.1:{port}")
    assert len(mail.received) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # smtps has TLS from the start
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_an_untrusted_certificate_gets_neither_password_nor_mail(scheme: str, certificate: Path) -> None:
    mail = MailServer()
    with (
        secured(mail, certificate, implicit=scheme == "smtps") as port,
        pytest.raises(DeliveryError, match="^SSLCertVerificationError$"),
    ):
        send(f"{scheme}://ana:p%40ss@127.0.0.1:{port}")
    assert mail.received == []


@contextmanager
def dialogue(*steps: tuple[float, bytes]) -> Iterator[int]:
    """Send one client each line after a pause (s), whatever the client sends; then send nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def talk() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                for pause, line in steps:
                    time.sleep(pause)
                    client.sendall(line)
                    client.recv(65536)
                client.settimeout(20)
                while client.recv(65536):
                    pass

        with meanwhile(talk):
            yield listener.getsockname()[1]


def test_the_time_is_bounded_as_a_whole_not_per_step() -> None:
    slow = [(0.4, line) for line in (b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")]
    with dialogue(*slow) as port, stalls() as late:
        started = time.monotonic()
        with pytest.raises(DeliveryError):
            send(f"smtp://127.0.0.1:{port}", timeout=0.5)
        assert time.monotonic() - started < 0.7 + max(late)


def test_an_accepted_mail_is_sent_even_if_the_server_does_not_answer_quit() -> None:
    lines = (b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 queued\r\n")
    with dialogue(*[(0, line) for line in lines]) as port:
        send(f"smtp://127.0.0.1:{port}", timeout=3.0)


TEMPORARY, PERMANENT = DeliveryError, PermanentDeliveryError

# The reply of a mail server to a step of the dialogue, and the error of the channel.
ANSWERS: list[tuple[str, str, type[DeliveryError]]] = [
    *((step, CUT, TEMPORARY) for step in ("greeting", "EHLO/HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end")),
    *((step, "421 closing", TEMPORARY) for step in ("greeting", "EHLO/HELO", "MAIL", "RCPT", "DATA", "end")),
    *((step, "nonsense", TEMPORARY) for step in ("greeting", "EHLO/HELO", "MAIL", "RCPT", "DATA", "end")),
    *((step, "451 later", TEMPORARY) for step in ("MAIL", "RCPT", "DATA", "end")),
    ("greeting", "554 no mail here", TEMPORARY),
    ("EHLO/HELO", "550 who are you", TEMPORARY),
    ("STARTTLS", "454 not now", TEMPORARY),
    ("STARTTLS", "554 no", TEMPORARY),
    ("AUTH", "454 not now", TEMPORARY),
    ("AUTH", "535 5.7.8 wrong password", TEMPORARY),
    ("MAIL", "550 5.7.1 not you", TEMPORARY),
    ("MAIL", "530 5.7.0 log in first", TEMPORARY),
    ("MAIL", "552 too large", PERMANENT),
    ("RCPT", "550 no such user", PERMANENT),
    ("RCPT", "550 5.1.1 no such user", PERMANENT),
    ("RCPT", "551 moved", PERMANENT),
    ("RCPT", "553 no such name", PERMANENT),
    ("RCPT", "556 5.1.10 no mail there", PERMANENT),
    ("RCPT", "503 5.5.1 out of sequence", TEMPORARY),
    ("RCPT", "504 5.5.2 EHLO needs a full name", TEMPORARY),
    ("RCPT", "521 5.3.2 no mail here", TEMPORARY),
    ("RCPT", "530 5.7.0 log in first", TEMPORARY),
    ("RCPT", "550 5.1.8 no such sender", TEMPORARY),
    ("RCPT", "550 5.7.1 relaying denied", TEMPORARY),
    ("RCPT", "552 too many recipients", TEMPORARY),
    ("RCPT", "554 5.7.1 client blocked", TEMPORARY),
    ("RCPT", "555 unknown parameter", TEMPORARY),
    ("DATA", "503 out of sequence", TEMPORARY),
    ("DATA", "554 no valid recipients", PERMANENT),
    ("end", "550 5.7.1 spam", PERMANENT),
    ("end", "552 too large", PERMANENT),
    ("end", "554 no", PERMANENT),
]


@pytest.mark.parametrize(("step", "reply", "kind"), ANSWERS)
def test_only_a_refusal_of_the_recipient_or_the_message_is_permanent(
    step: str, reply: str, kind: type[DeliveryError]
) -> None:
    mail = MailServer(step, reply)
    mail.data = (lambda: reply) if step == "end" else mail.data
    mail.offers = ["STARTTLS"] if step == "STARTTLS" else ["AUTH PLAIN"]
    account, starttls = ("ana:pw@" if step == "AUTH" else ""), str(step == "STARTTLS").lower()
    with listening(mail, auth_require_tls=True) as port, pytest.raises(DeliveryError) as raised:
        send(f"smtp://{account}127.0.0.1:{port}?starttls={starttls}")
    assert type(raised.value) is kind
    assert mail.received == []
    if reply != CUT:
        assert str(raised.value).endswith("(-1)" if reply == "nonsense" else f"({reply[:3]})")


@pytest.mark.parametrize("extension", ["STARTTLS", "AUTH"])
def test_a_server_without_an_extension_that_the_url_needs_gets_no_mail(extension: str) -> None:
    mail = MailServer()
    account = "ana:pw@" if extension == "AUTH" else ""
    with listening(mail) as port, pytest.raises(DeliveryError, match=f"{extension} extension not supported") as raised:
        send(f"smtp://{account}127.0.0.1:{port}?starttls={'false' if account else 'true'}")
    assert type(raised.value) is DeliveryError
    assert mail.received == []


@pytest.mark.parametrize(
    ("hostname", "name"), [("vm", "[127.0.0.1]"), ("a_b.example", "[127.0.0.1]"), ("vm.example", "vm.example")]
)
def test_a_strict_server_is_greeted_with_a_full_name_or_an_address_literal(
    hostname: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: hostname)
    mail = MailServer(strict=True)
    deliver(mail)
    deliver(mail, helo="shop.example.com")
    assert (mail.names, len(mail.received)) == ([name, "shop.example.com"], 2)


@pytest.mark.parametrize("lacks", [set(), {"8BITMIME"}, {"8BITMIME", "SIZE"}])
def test_mail_is_seven_bit_and_needs_no_extension(lacks: set[str]) -> None:
    mail = MailServer()
    mail.lacks = lacks
    sender = mailbox('"Shöp, Inc" <shop@müller.example>')
    body = "Café crème " * 200
    deliver(mail, sender=sender, recipient="u@MÜLLER.example", subject="Grüße " + "x" * 1500, body=body)
    (envelope,), (sent,) = mail.envelopes, mail.received
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@xn--mller-kva.example", ["u@xn--mller-kva.example"])
    assert [option for option in envelope.mail_options if not option.startswith("SIZE=")] == []
    content = envelope.original_content
    assert isinstance(content, bytes)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert read["Subject"] == "Grüße " + "x" * 1500
    assert [str(address) for address in read["From"].addresses] == ['"Shöp, Inc" <shop@xn--mller-kva.example>']
    assert sent["To"] == "u@xn--mller-kva.example"
    assert read.get_content().rstrip("\n") == body  # type: ignore[attr-defined]


def test_a_local_part_beyond_ascii_goes_out_with_smtputf8() -> None:
    mail = MailServer()
    deliver(mail, smtputf8=True, recipient="jörg@müller.example")
    (envelope,) = mail.envelopes
    assert envelope.smtp_utf8
    assert envelope.rcpt_tos == ["jörg@xn--mller-kva.example"]
    assert isinstance(envelope.original_content, bytes)
    assert "To: jörg@xn--mller-kva.example\r\n".encode() in envelope.original_content


def test_a_local_part_beyond_ascii_is_a_permanent_error_without_smtputf8() -> None:
    mail = MailServer()
    with pytest.raises(PermanentDeliveryError, match="SMTPUTF8"):
        deliver(mail, recipient="jörg@example.com")
    assert mail.received == []


@contextmanager
def mailing(port: int, *, timeout: float = 5, **options: Any) -> Iterator[Callable[[], None]]:
    """Yield a function that sends a mail over a pool of connections."""
    with closing(SmtpPool(SmtpServer("127.0.0.1", port), **options)) as connections:
        channel = EmailChannel(connections, MAIL_FROM, timeout=timeout)
        yield lambda: channel.send(NOTIFICATION)


def test_a_connection_is_reused_for_the_next_mail_and_ended_with_quit() -> None:
    mail = MailServer()
    with listening(mail) as port:
        with mailing(port) as send_one:
            for _ in range(3):
                send_one()
        until(lambda: mail.quits == 1, "the connection is ended with QUIT")
    assert (len(mail.received), len(mail.names)) == (3, 1)


def test_a_connection_that_is_idle_is_ended() -> None:
    mail = MailServer()
    with listening(mail) as port, mailing(port, max_idle=0.1) as send_one:
        for number in (1, 2):
            send_one()
            until(lambda: mail.quits == number, "the connection is ended with QUIT")  # noqa: B023
    assert (len(mail.received), len(mail.names)) == (2, 2)


def test_a_connection_takes_a_limited_number_of_mails() -> None:
    mail = MailServer()
    with listening(mail) as port, mailing(port, max_messages=2) as send_one:
        for _ in range(4):
            send_one()
    assert (len(mail.received), len(mail.names), mail.quits) == (4, 2, 2)


@pytest.mark.parametrize("reply", [CUT, "421 closing", "451 not now", "nonsense"])
def test_a_stale_connection_is_replaced_before_the_mail_goes_out(reply: str) -> None:
    mail = MailServer("RSET", reply)
    with listening(mail) as port, mailing(port) as send_one:
        send_one()
        send_one()
    assert (len(mail.received), len(mail.names)) == (2, 2)


def test_a_silent_connection_is_replaced_within_the_timeout() -> None:
    mail = MailServer("RSET", SILENCE)
    with listening(mail) as port, mailing(port, timeout=20, reply_timeout=0.3) as send_one:
        send_one()
        started = time.monotonic()
        send_one()
        assert time.monotonic() - started < 10
    assert (len(mail.received), len(mail.names)) == (2, 2)


@pytest.mark.parametrize("answer", [CUT, "421 closing", "451 later"])
def test_a_mail_that_the_server_may_have_accepted_is_not_sent_again_at_once(answer: str) -> None:
    mail, asked = MailServer(), list[str]()

    def answered() -> str:
        asked.append("")
        return answer if len(asked) == 2 else "250 OK"

    mail.data = answered
    with listening(mail) as port, mailing(port) as send_one:
        send_one()
        with pytest.raises(DeliveryError):
            send_one()
        assert len(asked) == 2
        send_one()
    assert len(mail.received) == 2


def test_mails_go_out_concurrently_over_separate_connections() -> None:
    mail = MailServer()
    mail.delay = 0.5  # so that each thread needs its own connection
    with listening(mail) as port, mailing(port) as send_one:
        for _ in range(2):
            at_once(4, lambda _: send_one())
    assert (len(mail.received), len(mail.names)) == (8, 4)
