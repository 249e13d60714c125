"""Sending one message over SMTP (RFC 5321), within a time that is bounded as a whole."""

import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class SmtpServer:
    """A mail server, from a URL: `smtp://user:password@host:587?starttls=true`, or `smtps://` for TLS from the start.

    STARTTLS is used by default where there is a password, so that none crosses the network in the clear.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: bool = False

    @classmethod
    def from_url(cls, url: str) -> "SmtpServer":
        """Read a URL. Raises ValueError."""
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        tls = parts.scheme == "smtps"
        starttls = options.pop("starttls", "true" if parts.username and not tls else "false")
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or options or starttls not in ("true", "false"):
            raise ValueError("not an SMTP URL")
        user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
        return cls(parts.hostname, parts.port or (465 if tls else 587), user, password, tls, starttls == "true")

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        """Hand a message over, in at most `timeout` seconds. Raises SMTPException or OSError."""
        with self._connected(timeout) as smtp:
            if self.starttls:
                smtp.starttls(context=ssl.create_default_context())
            if self.user:
                smtp.login(self.user, self.password or "")
            smtp.send_message(message, sender, [recipient])

    @contextmanager
    def _connected(self, timeout: float) -> Iterator[smtplib.SMTP]:
        smtp = self._connect(timeout)
        try:
            yield smtp
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # the message was accepted: whatever is answered now changes nothing
        finally:
            smtp.close()

    def _connect(self, timeout: float) -> smtplib.SMTP:
        deadline, name = time.monotonic() + timeout, socket.gethostname()
        if not self.tls:
            return _BoundedSmtp(deadline, self.host, self.port, name, timeout=timeout)
        tls = ssl.create_default_context()
        return _BoundedTlsSmtp(deadline, self.host, self.port, name, timeout=timeout, context=tls)


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
