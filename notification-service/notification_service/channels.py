"""The channels of notifications. To add one, write a class with a `send` like these, and add it to `channels`."""

import logging
import uuid
from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime

from chassis import logs
from chassis.telemetry.context import trace_id
from notification_service.addresses import mailbox
from notification_service.delivery import Channel, PermanentDeliveryError
from notification_service.model import EMAIL, SMS, Notification
from notification_service.smtp_pool import SmtpPool

SMTP_TIMEOUT = 15.0  # s for one e-mail as a whole, far below the lease of a claim
MESSAGE_ID_NAMESPACE = uuid.UUID("6f0b7c1e-5d2a-4c43-9a86-3f6a0c9d51e7")  # must not change: Message-IDs depend on it
POLICY = policy.default.clone(cte_type="7bit")  # not every mail server has 8BITMIME (RFC 6152)

log = logging.getLogger(__name__)


def channels(smtp: SmtpPool | None, sender: Address) -> Mapping[str, Channel]:
    """Return the channel of each kind; a kind without a provider is simulated."""
    return {EMAIL: EmailChannel(smtp, sender) if smtp else SimulatedChannel(), SMS: SimulatedChannel()}


class SimulatedChannel:
    """Sends nothing, and logs it."""

    max_concurrent = 0

    def send(self, notification: Notification) -> None:
        """Log a notification instead of sending it."""
        message = f"notification simulated: no provider for {notification.channel}"
        fields = f'"event_id": {logs.quoted(notification.event_id)}'
        logs.write(log, message, (logs.request_id.get(), trace_id(), fields))


class EmailChannel:
    """Sends e-mail over SMTP."""

    def __init__(self, smtp: SmtpPool, sender: Address, *, timeout: float = SMTP_TIMEOUT) -> None:
        self.max_concurrent = smtp.max_connections
        self._smtp = smtp
        self._sender = sender
        self._timeout = timeout

    def send(self, notification: Notification) -> None:
        """Hand an e-mail to the mail server. Raises DeliveryError."""
        try:
            recipient = mailbox(notification.recipient)
        except ValueError:
            raise PermanentDeliveryError("the recipient is not an e-mail address") from None
        message = self._message(notification, recipient)
        self._smtp.send(message, self._sender.addr_spec, recipient.addr_spec, timeout=self._timeout)
        log.info("notification sent", extra={"event_id": notification.event_id, "channel": EMAIL})

    def _message(self, notification: Notification, recipient: Address) -> EmailMessage:
        message = EmailMessage(POLICY)
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = " ".join(notification.subject.split())  # a header is one line
        message["Date"] = localtime()
        message["Message-ID"] = f"<{uuid.uuid5(MESSAGE_ID_NAMESPACE, notification.id)}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no out-of-office replies
        message.set_content(notification.body)
        if notification.render_html:
            message.add_alternative(notification.render_html(), subtype="html")
        return message
