"""The channels that notifications go out on. To add one, write a class with a `send` like these and name it below."""

import logging
import smtplib
import uuid
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime

from notification_service.model import EMAIL, SMS, Notification
from notification_service.notifications import Channel, NotSent, Refused
from notification_service.smtp import SmtpServer

SMTP_TIMEOUT = 15.0  # seconds for one e-mail as a whole, well below the lease of a claim
MESSAGE_IDS = uuid.UUID("6f0b7c1e-5d2a-4c43-9a86-3f6a0c9d51e7")

log = logging.getLogger(__name__)


def channels(smtp: SmtpServer | None, sender: str) -> Mapping[str, Channel]:
    """Return a channel for each kind; what there is no provider for is simulated."""
    return {
        EMAIL: EmailChannel(smtp, sender) if smtp else SimulatedChannel(),
        SMS: SimulatedChannel(),
    }


class SimulatedChannel:
    """Sends nothing, and says so in the log."""

    def send(self, notification: Notification) -> None:
        """Log that a notification would have been sent now."""
        log.info("simulated %s", notification.channel, extra={"event_id": notification.event_id})


class EmailChannel:
    """Sends e-mail over SMTP."""

    def __init__(self, server: SmtpServer, sender: str, *, timeout: float = SMTP_TIMEOUT) -> None:
        self._server = server
        self._sender = sender
        self._timeout = timeout

    def send(self, notification: Notification) -> None:
        """Hand an e-mail to the mail server. Raises Refused if it refuses the recipient for good, else NotSent."""
        message = self._message(notification)
        try:
            self._server.send(message, self._sender, notification.recipient, timeout=self._timeout)
        except smtplib.SMTPRecipientsRefused as exc:
            code = max(code for code, _ in exc.recipients.values())
            raise (Refused if code >= 500 else NotSent)(f"the mail server refuses the recipient ({code})") from None
        except smtplib.SMTPResponseException as exc:
            raise NotSent(f"{type(exc).__name__} ({exc.smtp_code})") from None
        except (smtplib.SMTPException, OSError) as exc:
            raise NotSent(type(exc).__name__) from None

    def _message(self, notification: Notification) -> EmailMessage:
        message = EmailMessage()
        try:
            message["To"] = Address(addr_spec=notification.recipient)
            message["Subject"] = notification.subject
        except (ValueError, IndexError, MessageError):
            raise Refused("the recipient is no e-mail address") from None
        message["From"] = self._sender
        message["Date"] = localtime()
        message["Message-ID"] = f"<{uuid.uuid5(MESSAGE_IDS, notification.id)}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office answers are not wanted
        message.set_content(notification.body)
        return message
