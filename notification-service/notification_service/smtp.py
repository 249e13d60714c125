"""Handing messages to a mail server over SMTP (RFC 5321), each within a time that is bounded as a whole.

Connections are kept for the messages that follow: opening one takes several round trips, with TLS and a password more.
"""

import contextlib
import math
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from notification_service.addresses import address_literal, client_name, server_name

IDLE = 10.0  # s that a connection is kept for the next message; servers wait for 5 minutes (RFC 5321, 4.5.3.2.7)
MESSAGES = 100  # on one connection; many servers take no more
REPLIES_WITHIN = 3.0  # s for a server to show that a kept connection is alive, or to say goodbye

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

    def connect(self, deadline: float) -> "Connection":
        """Open a connection that is ready for a message, until a time of the monotonic clock.

        Raises SMTPException or OSError.
        """
        smtp = self._open(deadline)
        try:
            smtp.local_hostname = self.helo or _own_name(smtp)
            if self.starttls:
                smtp.starttls(context=ssl.create_default_context())
            if self.user:
                smtp.login(self.user, self.password or "")
            smtp.ehlo_or_helo_if_needed()
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _open(self, deadline: float) -> "Connection":
        timeout, name = max(deadline - time.monotonic(), 0.001), "localhost"  # a name, lest smtplib ask the DNS for one
        if not self.tls:
            return Connection(deadline, self.host, self.port, name, timeout=timeout)
        tls = ssl.create_default_context()
        return _TlsConnection(deadline, self.host, self.port, name, timeout=timeout, context=tls)


class Connections:
    """Connections to a mail server, up to `at_once` of them, each kept for the next message while more keep coming.

    Safe to use from several threads. A message goes out once: a kept connection must answer RSET before the server gets
    to see anything of it, else it is replaced by a fresh one. After that, a failure is the message's.
    """

    def __init__(self, server: SmtpServer, at_once: int = 8, *, idle: float = IDLE) -> None:
        self.at_once = at_once
        self._server = server
        self._idle = idle
        self._lock = threading.Lock()
        self._kept: list[Connection] = []  # the one used last comes last, and is used first: so that the others end
        self._timer: threading.Timer | None = None

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        """Hand a message over, in at most `timeout` seconds. Raises NotAccepted."""
        deadline = time.monotonic() + timeout
        try:
            smtp = self._take(deadline) or self._server.connect(deadline)
            smtp.deadline = deadline
            try:
                if not recipient.isascii() and not smtp.has_extn("smtputf8"):
                    raise NotAccepted("the mail server has no SMTPUTF8, which the recipient needs", permanent=True)
                smtp.send_message(message, sender, [recipient])
            except BaseException:
                smtp.close()
                raise
        except (smtplib.SMTPException, OSError) as exc:
            raise _not_accepted(exc) from None
        self._keep(smtp)

    def close(self) -> None:
        """Say goodbye on every connection that is kept."""
        self._close_idle(0.0)

    def _take(self, deadline: float) -> "Connection | None":
        """Return a kept connection, if there is one and it is alive."""
        with self._lock:
            if not self._kept:
                return None
            smtp = self._kept.pop()
        smtp.deadline = min(deadline, time.monotonic() + REPLIES_WITHIN)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if smtp.rset()[0] == 250:
                return smtp
        smtp.close()
        return None

    def _keep(self, smtp: "Connection") -> None:
        smtp.messages += 1
        if smtp.messages >= MESSAGES:
            _say_goodbye(smtp, smtp.deadline)
            return
        smtp.used_at = time.monotonic()
        with self._lock:
            self._kept.append(smtp)
            self._watch()

    def _watch(self) -> None:
        """Let a timer close what is idle, while anything is kept."""
        if self._kept and not self._timer:
            self._timer = threading.Timer(self._idle, self._close_idle, [self._idle])
            self._timer.daemon = True
            self._timer.start()

    def _close_idle(self, idle: float) -> None:
        with self._lock:
            over = [smtp for smtp in self._kept if time.monotonic() - smtp.used_at >= idle]
            self._kept = [smtp for smtp in self._kept if smtp not in over]
            if self._timer:
                self._timer.cancel()
            self._timer = None
            self._watch()
        for smtp in over:
            _say_goodbye(smtp)


def _say_goodbye(smtp: "Connection", deadline: float = math.inf) -> None:
    """Say QUIT, as RFC 5321, 4.1.1.10, demands; whatever is answered changes nothing."""
    smtp.deadline = min(deadline, time.monotonic() + REPLIES_WITHIN)
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    smtp.close()


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


class Connection(smtplib.SMTP):
    """Gives every step of a dialogue only what is left until `deadline`: smtplib's own time-out starts anew at each.

    It notes as well what it was used for.
    """

    def __init__(self, deadline: float, *args: Any, **kwargs: Any) -> None:
        self.deadline = deadline
        self.messages = 0
        self.used_at = 0.0
        super().__init__(*args, **kwargs)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply, until the deadline."""
        self._bound()
        return super().getreply()

    def send(self, s: Any) -> None:
        """Send something, until the deadline."""
        self._bound()
        super().send(s)

    def _bound(self) -> None:
        if sock := getattr(self, "sock", None):
            sock.settimeout(max(self.deadline - time.monotonic(), 0.001))


class _TlsConnection(Connection, smtplib.SMTP_SSL):
    pass
