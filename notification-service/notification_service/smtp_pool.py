"""Sending mail over a pool of SMTP connections: opening a connection takes several round trips, more with TLS."""

import contextlib
import math
import re
import smtplib
import threading
import time
from collections.abc import Collection
from email.message import EmailMessage

from chassis.telemetry.metrics import Pool
from notification_service.delivery import DeliveryError, PermanentDeliveryError
from notification_service.smtp_connection import SmtpConnection, SmtpServer

MAX_IDLE = 10.0  # s that a connection waits for the next mail; servers wait for 5 minutes (RFC 5321, 4.5.3.2.7)
MAX_MESSAGES = 100  # on one connection; many servers accept no more
REPLY_TIMEOUT = 3.0  # s for a server to show that an idle connection is alive, or to answer QUIT

# For each error, the part that the server refuses, and the replies that refuse it permanently (RFC 5321, 4.2.1 and
# 4.3.2). All other replies are about this client, its account or the server's state. They refuse every mail alike, so
# the mail is retried until somebody has corrected the cause.
_REFUSALS: dict[type[smtplib.SMTPException], tuple[str, Collection[int]]] = {
    smtplib.SMTPConnectError: ("the connection", ()),
    smtplib.SMTPHeloError: ("EHLO", ()),
    smtplib.SMTPResponseException: ("a command", ()),  # STARTTLS
    smtplib.SMTPAuthenticationError: ("the password", ()),
    smtplib.SMTPSenderRefused: ("the sender", {552}),  # larger than the server accepts (RFC 1870, 6.1)
    # The mailbox, or its whole domain (556, RFC 7504). Here 552 is temporary (4.5.3.1.10).
    smtplib.SMTPRecipientsRefused: ("the recipient", {550, 551, 553, 556}),
    # All except: out of sequence, no mail here (RFC 7504), log in first (RFC 4954).
    smtplib.SMTPDataError: ("the message", {*range(500, 600)} - {503, 521, 530}),
}
# Enhanced codes (RFC 3463, RFC 5248) about the sender, the protocol or rights: RCPT gets them for any recipient.
_ABOUT_THE_CLIENT = re.compile(rb"5\.(?:1\.[78]|[57]\.[0-9]+)\b")


class SmtpPool:
    """Sends mail, up to `max_connections` at once. Each connection is kept for the next mail. Safe for several threads.

    A mail goes out once: a pooled connection must answer RSET before the server sees anything of the mail, or a fresh
    connection replaces it. After that, a failure is a failure of the mail.
    """

    def __init__(
        self,
        server: SmtpServer,
        max_connections: int = 8,
        *,
        max_idle: float = MAX_IDLE,
        max_messages: int = MAX_MESSAGES,
        reply_timeout: float = REPLY_TIMEOUT,
    ) -> None:
        self.max_connections = max_connections
        self._server = server
        self._max_idle = max_idle
        self._max_messages = max_messages
        self._reply_timeout = reply_timeout
        self._lock = threading.Lock()
        self._idle: list[SmtpConnection] = []  # last in, first out: surplus connections stay idle and end
        self._closed = threading.Event()
        self._shown = Pool("smtp", max_connections)
        threading.Thread(target=self._reap, name="smtp-reaper", daemon=True).start()

    def send(self, message: EmailMessage, sender: str, recipient: str, *, timeout: float) -> None:
        """Send a mail in at most `timeout` seconds. Raises DeliveryError."""
        with self._shown.place():
            self._send(message, sender, recipient, time.monotonic() + timeout)

    def _send(self, message: EmailMessage, sender: str, recipient: str, deadline: float) -> None:
        try:
            smtp = self._acquire(deadline) or self._server.connect(deadline)
            smtp.deadline = deadline
            try:
                if not recipient.isascii() and not smtp.has_extn("smtputf8"):
                    raise PermanentDeliveryError("the mail server lacks SMTPUTF8, which the recipient needs")
                smtp.send_message(message, sender, [recipient])
            except BaseException:
                smtp.close()
                raise
        except (smtplib.SMTPException, OSError) as exc:
            raise _delivery_error(exc) from None
        self._release(smtp)

    def close(self) -> None:
        """End all idle connections."""
        self._closed.set()
        self._end_idle(0.0)

    def _acquire(self, deadline: float) -> SmtpConnection | None:
        """Return a pooled connection that is alive, or None."""
        with self._lock:
            if not self._idle:
                return None
            smtp = self._idle.pop()
        smtp.deadline = min(deadline, time.monotonic() + self._reply_timeout)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if smtp.rset()[0] == 250:
                return smtp
        smtp.close()
        return None

    def _release(self, smtp: SmtpConnection) -> None:
        smtp.messages += 1
        if smtp.messages >= self._max_messages:
            self._quit(smtp, smtp.deadline)
            return
        smtp.used_at = time.monotonic()
        with self._lock:
            self._idle.append(smtp)

    def _reap(self) -> None:
        """End connections before they have been idle for `max_idle`, until the pool is closed."""
        while not self._closed.wait(self._max_idle / 2):
            self._end_idle(self._max_idle / 2)

    def _end_idle(self, idle: float) -> None:
        with self._lock:
            ended = [smtp for smtp in self._idle if time.monotonic() - smtp.used_at >= idle]
            self._idle = [smtp for smtp in self._idle if smtp not in ended]
        for smtp in ended:
            self._quit(smtp)

    def _quit(self, smtp: SmtpConnection, deadline: float = math.inf) -> None:
        """Say QUIT, as RFC 5321, 4.1.1.10, demands, and close the connection whatever the answer is."""
        smtp.deadline = min(deadline, time.monotonic() + self._reply_timeout)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()


def _delivery_error(exc: smtplib.SMTPException | OSError) -> DeliveryError:
    """Translate an error of smtplib. Replies are not quoted: they may name the recipient."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        code, reply = next(iter(exc.recipients.values()))
        is_about_client = _ABOUT_THE_CLIENT.match(reply) is not None
    elif isinstance(exc, smtplib.SMTPResponseException):
        code, is_about_client = exc.smtp_code, False
    elif isinstance(exc, smtplib.SMTPNotSupportedError):
        return DeliveryError(str(exc))  # smtplib's own words
    else:
        return DeliveryError(type(exc).__name__)
    refused, permanent = _REFUSALS[type(exc)]
    error_class = PermanentDeliveryError if code in permanent and not is_about_client else DeliveryError
    return error_class(f"the mail server refuses {refused} ({code})")
