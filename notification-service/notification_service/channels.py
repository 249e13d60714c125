"""The channels that notifications go out on. To add one, write a class with a `send` like these and name it below."""

import logging
import uuid
from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime

from notification_service.addresses import mailbox
from notification_service.model import EMAIL, SMS, Notification
from notification_service.notifications import Channel, NotSent, Undeliverable
from notification_service.smtp import Connections, NotAccepted

SMTP_TIMEOUT = 15.0  # seconds for one e-mail as a whole, well below the lease of a claim
MESSAGE_IDS = uuid.UUID("6f0b7c1e-5d2a-4c43-9a86-3f6a0c9d51e7")
POLICY = policy.default.clone(cte_type="7bit")  # not every mail server has 8BITMIME (RFC 6152)

log = logging.getLogger(__name__)


def channels(smtp: Connections | None, sender: Address) -> Mapping[str, Channel]:
    """Return a channel for each kind; what there is no provider for is simulated."""
    return {
        EMAIL: EmailChannel(smtp, sender) if smtp else SimulatedChannel(),
        SMS: SimulatedChannel(),
    }


class SimulatedChannel:
    """Sends nothing, and says so in the log."""

    at_once = 0

    def send(self, notification: Notification) -> None:
        """Log that a notification would have been sent now."""
        log.info("simulated %s", notification.channel, extra={"event_id": notification.event_id})


class EmailChannel:
    """Sends e-mail over SMTP."""

    def __init__(self, server: Connections, sender: Address, *, timeout: float = SMTP_TIMEOUT) -> None:
        self.at_once = server.at_once
        self._server = server
        self._sender = sender
        self._timeout = timeout

    def send(self, notification: Notification) -> None:
        """Hand an e-mail to the mail server. Raises Undeliverable if it will never take it, else NotSent."""
        try:
            recipient = mailbox(notification.recipient)
        except ValueError:
            raise Undeliverable("the recipient is no e-mail address") from None
        message = self._message(notification, recipient)
        try:
            self._server.send(message, self._sender.addr_spec, recipient.addr_spec, timeout=self._timeout)
        except NotAccepted as exc:
            raise (Undeliverable if exc.permanent else NotSent)(str(exc)) from None
        log.info("sent", extra={"event_id": notification.event_id, "channel": EMAIL})

    def _message(self, notification: Notification, recipient: Address) -> EmailMessage:
        message = EmailMessage(POLICY)
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = " ".join(notification.subject.split())  # a header is one line
        message["Date"] = localtime()
        message["Message-ID"] = f"<{uuid.uuid5(MESSAGE_IDS, notification.id)}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office answers are not wanted
        message.set_content(notification.body)
        return message
