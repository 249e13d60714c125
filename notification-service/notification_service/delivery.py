"""The delivery of a notification: the channels, and one vocabulary for how a delivery ends.

A channel raises an error, which has a `Disposition`. The notifier returns it as an `Outcome`, by which the consumer
settles the message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import ClassVar, Protocol

from notification_service.model import Notification


class Disposition(IntEnum):
    """The consumer's action for a message. If its notifications differ, the last action of this list counts.

    One exception: if only some notifications can never be sent, the message is retried, so that attempts are counted.
    """

    ACKNOWLEDGE = auto()  # all is sent
    DEAD_LETTER = auto()  # no attempt can succeed
    DEFER = auto()  # wait for a short time: nothing has failed, so this does not count as an attempt
    UNSETTLED = auto()  # do not acknowledge it: the broker delivers it again
    RETRY = auto()  # wait for a delay, and count an attempt


@dataclass(frozen=True)
class Outcome:
    """The disposition of a notification or of a message, and its reason, which names no person."""

    disposition: Disposition
    reason: str = ""


DELIVERED = Outcome(Disposition.ACKNOWLEDGE)


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome of a message from the outcomes of its notifications."""
    unsent = [outcome for outcome in outcomes if outcome is not DELIVERED]
    if not unsent:
        return DELIVERED
    dispositions = {outcome.disposition for outcome in unsent}
    is_mixed = Disposition.DEAD_LETTER in dispositions and len(dispositions) > 1
    disposition = Disposition.RETRY if is_mixed else max(dispositions)
    return Outcome(disposition, "; ".join(outcome.reason for outcome in unsent))


class DeliveryError(Exception):
    """A channel could not send. Safe to retry. The text is logged and stored, so it must not name the recipient."""

    disposition: ClassVar[Disposition] = Disposition.RETRY


class PermanentDeliveryError(DeliveryError):
    """A channel can never send this notification. A retry is pointless."""

    disposition = Disposition.DEAD_LETTER


class Channel(Protocol):
    """A way to reach a user. Up to `max_concurrent` notifications are sent in threads; 0 if sending never waits."""

    max_concurrent: int

    def send(self, notification: Notification) -> None:
        """Send a notification within seconds, and log it. Raises DeliveryError."""
