"""What the errors of RabbitMQ mean: the broker is away, or it answers and refuses."""

from pika import URLParameters
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

FAILURES = (AMQPError, AMQPConnectorException, OSError)
"""What pika raises when the broker is away or refuses; the second is for one that hangs while connecting."""

_REFUSED = {
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    530: "NOT_ALLOWED",
}


def check_url(url: str) -> None:
    """Raise ValueError for a URL that pika cannot read: an option that is unknown, or has an impossible value."""
    try:
        URLParameters(url)
    except IndexError as exc:
        raise ValueError("the URL has no path") from exc


def refusal(exc: Exception) -> str | None:
    """Return what RabbitMQ refuses and what to do; None if it is merely away, starting or overloaded."""
    if isinstance(exc, (ProbableAuthenticationError, ProbableAccessDeniedError)):
        return (
            f"RabbitMQ refuses the account or virtual host of RABBITMQ_URL: {exc}. Correct it, or run the provisioning."
        )
    if isinstance(exc, (ChannelClosedByBroker, ConnectionClosedByBroker)) and exc.reply_code in _REFUSED:
        return f"RabbitMQ says {exc.reply_text}. Run the provisioning: it sets rights, queues and bindings."
    if isinstance(exc, UnroutableError):
        return "RabbitMQ has no queue for a message. Run the provisioning: it declares queues and bindings."
    return None
