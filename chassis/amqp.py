"""RabbitMQ: which errors are an outage and which a misconfiguration, and a check of the right to publish."""

from ssl import SSLCertVerificationError

from pika import BasicProperties, URLParameters
from pika.adapters.blocking_connection import BlockingConnection
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorException,
    AMQPConnectorPhaseErrorBase,
)
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

FAILURES = (AMQPError, AMQPConnectorException, OSError)
"""All errors of pika for a broker that is away, hangs while connecting (AMQPConnectorException), or refuses."""

PRECONDITION_FAILED = 406
_REFUSED = {
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    PRECONDITION_FAILED: "PRECONDITION_FAILED",
    530: "NOT_ALLOWED",
}


def is_url(url: str) -> bool:
    """Return whether pika can read a URL with all its options."""
    try:
        URLParameters(url)
    except Exception:  # pika evaluates some options as Python literals and does not check them
        return False
    return True


def check_publishing(connection: BlockingConnection, exchange: str, routing_key: str) -> None:
    """Check that the account may publish to an exchange, without publishing. Raises one of `FAILURES`.

    RabbitMQ checks rights before the properties of a message, one of which is invalid here on purpose.
    """
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish(exchange, routing_key, b"", BasicProperties(expiration="none: this is a check of rights"))
    except ChannelClosedByBroker as exc:
        if exc.reply_code != PRECONDITION_FAILED:
            raise


def cause(exc: Exception) -> Exception:
    """Return the error that prevented a connection, unwrapped from those of pika's attempts."""
    if isinstance(exc, AMQPConnectionWorkflowFailed):
        exc = exc.exceptions[-1]
    return exc.exception if isinstance(exc, AMQPConnectorPhaseErrorBase) else exc


def refusal(exc: Exception) -> str | None:
    """Return what RabbitMQ refuses and what to do, None in an outage (away, starting or overloaded)."""
    if isinstance(exc, (ProbableAuthenticationError, ProbableAccessDeniedError)):
        if not any(name in str(exc) for name in _REFUSED.values()):
            return None  # the connection broke during the login
        return (
            f"RabbitMQ refuses the account or virtual host of RABBITMQ_URL: {exc}. Correct it, or run the provisioning."
        )
    if isinstance(exc, (ChannelClosedByBroker, ConnectionClosedByBroker)) and exc.reply_code in _REFUSED:
        return f"RabbitMQ says {exc.reply_text}. Run the provisioning: it sets rights, queues and bindings."
    if isinstance(exc, UnroutableError):
        return "RabbitMQ has no queue for a message. Run the provisioning: it declares queues and bindings."
    if isinstance(exc, SSLCertVerificationError):
        return f"RabbitMQ's certificate is not trusted ({exc}). Check RABBITMQ_URL and its ssl_options."
    return None
