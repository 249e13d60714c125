"""A connection to a mail server over SMTP (RFC 5321), on which all steps together must meet one deadline.

The time-out of smtplib begins anew at each of about eight steps. The lease of a notification bounds the sum, so
`SmtpConnection` gives each step only the time that is left: every step sends a command or waits for a reply.
"""

import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from notification_service.addresses import address_literal, client_name, server_name


class SmtpConnection(smtplib.SMTP):
    """A connection with a `deadline` (monotonic). The pool sets it for each mail, and counts the `messages`."""

    def __init__(self, deadline: float, host: str, port: int, **kwargs: Any) -> None:
        self.deadline = deadline
        self.messages = 0
        self.used_at = 0.0
        # A provisional name: without a name, smtplib asks the DNS. `SmtpServer.connect` sets the real name.
        super().__init__(host, port, "localhost", timeout=_seconds_until(deadline), **kwargs)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply until the deadline."""
        self._limit_time()
        return super().getreply()

    def send(self, s: Any) -> None:
        """Send data until the deadline."""
        self._limit_time()
        super().send(s)

    def _limit_time(self) -> None:
        if sock := getattr(self, "sock", None):
            sock.settimeout(_seconds_until(self.deadline))


class _TlsConnection(SmtpConnection, smtplib.SMTP_SSL):
    pass


@dataclass(frozen=True)
class SmtpServer:
    """A mail server, from a URL: `smtp://user:password@host:587?starttls=true`, or `smtps://` for TLS from the start.

    STARTTLS is the default if there is a password, so that no password crosses the network in the clear. `helo` is the
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
        conditions = (
            parts.scheme in ("smtp", "smtps"),
            parts.port != 0 and parts.path in ("", "/") and not parts.fragment,
            bool(user) == bool(password) and (user + password).isascii(),  # smtplib accepts only ASCII
            starttls in (("false",) if tls else ("true", "false")) and not options,
        )
        if not all(conditions):
            raise ValueError("not an SMTP URL")
        host, port = server_name(parts.hostname or ""), parts.port or (465 if tls else 587)
        return cls(host, port, user or None, password or None, tls, starttls == "true", helo)

    def connect(self, deadline: float) -> SmtpConnection:
        """Return a connection that is ready for a message. Raises SMTPException or OSError."""
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

    def _open(self, deadline: float) -> SmtpConnection:
        if self.tls:
            return _TlsConnection(deadline, self.host, self.port, context=ssl.create_default_context())
        return SmtpConnection(deadline, self.host, self.port)


def _seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _own_name(smtp: smtplib.SMTP) -> str:
    """Return this host's name if it is a full host name, else the address that the server sees (RFC 5321, 4.1.4)."""
    try:
        return client_name(socket.gethostname())
    except ValueError:
        return address_literal(smtp.sock.getsockname()[0])  # type: ignore[union-attr]  # it is connected
