"""E-mail over real sockets: TLS, passwords, and a mail server that takes its time."""

import datetime
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from notification_service.channels import EmailChannel
from notification_service.model import Notification
from notification_service.notifications import NotSent
from notification_service.smtp import SmtpServer
from tests.at_once import meanwhile
from tests.integration.mailroom import MailServer
from tests.signing import private_key
from tests.waiting import stalls
from tools.ports import free_ports

NOTIFICATION = Notification(
    "o-1.order_created", "order_created", "o-1", "u-1", "email", "ana@example.com", "Hi", "Text"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate of this machine, with its key, that nobody trusts yet."""
    key, name = private_key("tls"), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "mail.pem"
    path.write_bytes(made.public_bytes(pem) + secret)
    return path


@contextmanager
def secured(mail: MailServer, certificate: Path, *, implicit: bool) -> Iterator[int]:
    """Let a mail server listen that wants TLS and the password of ana."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given == LoginPassword(b"ana", b"p@ss"))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    tls: dict[str, Any] = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
    (port,) = free_ports(1)
    access = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit}
    controller = Controller(mail, hostname="127.0.0.1", port=port, **tls, **access)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def send(url: str, *, timeout: float = 5) -> None:
    EmailChannel(SmtpServer.from_url(url), "shop@example.com", timeout=timeout).send(NOTIFICATION)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # smtps has TLS from the start
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_goes_out_over_tls_with_a_password(
    scheme: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mail = MailServer()
    with secured(mail, certificate, implicit=scheme == "smtps") as port:
        send(f"{scheme}://ana:p%40ss@127.0.0.1:{port}")
        with pytest.raises(NotSent):
            send(f"{scheme}://ana:wrong@127.0.0.1:{port}")
    assert len(mail.received) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # smtps has TLS from the start
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_that_is_not_trusted_gets_neither_password_nor_mail(scheme: str, certificate: Path) -> None:
    mail = MailServer()
    with (
        secured(mail, certificate, implicit=scheme == "smtps") as port,
        pytest.raises(NotSent, match="^SSLCertVerificationError$"),
    ):
        send(f"{scheme}://ana:p%40ss@127.0.0.1:{port}")
    assert mail.received == []


@contextmanager
def dialogue(*steps: tuple[float, bytes]) -> Iterator[int]:
    """Answer one client, each line after a pause (s), whatever the client says; then be silent."""
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
        with pytest.raises(NotSent):
            send(f"smtp://127.0.0.1:{port}", timeout=0.5)
        assert time.monotonic() - started < 0.7 + max(late)


def test_what_was_accepted_is_sent_even_if_the_server_does_not_say_goodbye() -> None:
    lines = (b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 queued\r\n")
    with dialogue(*[(0, line) for line in lines]) as port:
        send(f"smtp://127.0.0.1:{port}", timeout=3.0)
