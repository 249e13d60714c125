"""Handing one message to a mail server over SMTP (RFC 5321), within a time that is bounded as a whole."""

import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from notification_service.addresses import address_literal, client_name, server_name

# What the server refuses by each failure, and the replies that refuse it for good (RFC 5321, 4.2.1 and 4.3.2). All
# others are about this client, its account or the server's state: every mail would meet them, so they are worth trying
# again until somebody has seen to it.
_REFUSALS: dict[type[smtplib.SMTPException], tuple[str, Collection[int]]] = {
    smtplib.SMTPConnectError: ("the connection", ()),
    smtplib.SMTPHeloError: ("EHLO", ()),
    smtplib.SMTPResponseException: ("a command", ()),  # STARTTLS
    smtplib.SMTPAuthenticationError: ("the password", ()),
    smtplib.SMTPSenderRefused: ("the sender", {552}),  # larger than it accepts (RFC 1870, 6.1)
    # The mailbox, or its whole domain (556, RFC 7504). Here 552 is temporary (4.5.3.1.10).
    smtplib.SMTPRecipientsRefused: ("the recipient", {550, 551, 553, 556}),
    # All but: out of sequence, no mail here (RFC 7504), log in first (RFC 4954).
    smtplib.SMTPDataError: ("the message", {*range(500, 600)} - {503, 521, 530}),
}
# Enhanced codes (RFC 3463, RFC 5248) of the sender, of the dialogue and of rights: with RCPT, not about the recipient.
_ABOUT_THE_CLIENT = re.compile(rb"5\.(?:1\.[78]|[57]\.[0-9]+)\b")


class NotAccepted(Exception):
    """The mail server did not take a message. Its text names no person. `permanent`: the server never will take it."""

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


@dataclass(frozen=True)
class SmtpServer:
    """A mail server, from a URL: `smtp://user:password@host:587?starttls=true`, or `smtps://` for TLS from the start.

    STARTTLS is used by default where there is a password, so that none crosses the network in the clear. `helo` is the
    name to give in EHLO.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: bool = False
    helo: str | None = None

    @classmethod
    def from_url(cls, url: str, helo: str | None = None) -> "SmtpServer":
        """Read a URL. Raises ValueError."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        user, password = (unquote(text or "") for text in (parts.username, parts.password))
        tls = parts.scheme == "smtps"
        starttls = options.pop("starttls", "true" if user and not tls else "false")
        is_sound = (
            parts.scheme in ("smtp", "smtps"),
            parts.port != 0 and parts.path in ("", "/") and not parts.fragment,
            bool(user) == bool(password) and (user + password).isascii(),  # smtplib knows no other passwords
            starttls in (("false",) if tls else ("true", "false")) and not options,
        )
        if not all(is_sound):
            raise ValueError("not an SMTP URL")
        host, port = server_name(parts.hostname or ""), parts.port or (465 if tls else 587)
        return cls(host, port, user or None, password or None, tls, starttls == "true", helo)

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        """Hand a message over, in at most `timeout` seconds. Raises NotAccepted."""
        try:
            with self._connected(timeout) as smtp:
                if self.starttls:
                    smtp.starttls(context=ssl.create_default_context())
                if self.user:
                    smtp.login(self.user, self.password or "")
                smtp.ehlo_or_helo_if_needed()
                if not recipient.isascii() and not smtp.has_extn("smtputf8"):
                    raise NotAccepted("the mail server has no SMTPUTF8, which the recipient needs", permanent=True)
                smtp.send_message(message, sender, [recipient])
        except (smtplib.SMTPException, OSError) as exc:
            raise _not_accepted(exc) from None

    @contextmanager
    def _connected(self, timeout: float) -> Iterator[smtplib.SMTP]:
        smtp = self._connect(timeout)
        try:
            smtp.local_hostname = self.helo or _own_name(smtp)
            yield smtp
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # the message was accepted: whatever is answered now changes nothing
        finally:
            smtp.close()

    def _connect(self, timeout: float) -> smtplib.SMTP:
        deadline, name = time.monotonic() + timeout, "localhost"  # a name, lest smtplib ask the DNS for one
        if not self.tls:
            return _BoundedSmtp(deadline, self.host, self.port, name, timeout=timeout)
        tls = ssl.create_default_context()
        return _BoundedTlsSmtp(deadline, self.host, self.port, name, timeout=timeout, context=tls)


def _own_name(smtp: smtplib.SMTP) -> str:
    """Return this host's name if it is a full one, else the address that the server sees (RFC 5321, 4.1.4)."""
    try:
        return client_name(socket.gethostname())
    except ValueError:
        return address_literal(smtp.sock.getsockname()[0])  # type: ignore[union-attr]  # it is connected


def _not_accepted(exc: smtplib.SMTPException | OSError) -> NotAccepted:
    """Translate what smtplib raises. Replies are not quoted: they may name the recipient."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        code, reply = next(iter(exc.recipients.values()))
        is_ours = _ABOUT_THE_CLIENT.match(reply) is not None
    elif isinstance(exc, smtplib.SMTPResponseException):
        code, is_ours = exc.smtp_code, False
    elif isinstance(exc, smtplib.SMTPNotSupportedError):
        return NotAccepted(str(exc))  # smtplib's own words
    else:
        return NotAccepted(type(exc).__name__)
    refused, for_good = _REFUSALS[type(exc)]
    return NotAccepted(f"the mail server refuses {refused} ({code})", permanent=code in for_good and not is_ours)


class _Bounded:
    """Gives every step of the dialogue only what is left of the time: smtplib's own time-out starts anew at each."""

    def __init__(self, deadline: float, *args: Any, **kwargs: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **kwargs)

    def getreply(self) -> tuple[int, bytes]:
        self._bound()
        return super().getreply()  # type: ignore[misc, no-any-return]

    def send(self, data: Any) -> None:
        self._bound()
        super().send(data)  # type: ignore[misc]

    def _bound(self) -> None:
        if sock := getattr(self, "sock", None):
            sock.settimeout(max(self._deadline - time.monotonic(), 0.001))


class _BoundedSmtp(_Bounded, smtplib.SMTP):
    pass


class _BoundedTlsSmtp(_Bounded, smtplib.SMTP_SSL):
    pass
