"""RabbitMQ: errors that mean an outage, errors that mean a misconfiguration, and a check of the right to publish."""

from ssl import SSLCertVerificationError

from pika import BasicProperties, URLParameters
from pika import exceptions as amqp
from pika.adapters.blocking_connection import BlockingConnection
from pika.adapters.utils import connection_workflow as connecting

# All errors of pika for a broker that is away, hangs while connecting (AMQPConnectorException), or refuses.
FAILURES = (amqp.AMQPError, connecting.AMQPConnectorException, OSError)

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
    except Exception:  # pika evaluates some options as Python literals, without a check
        return False
    return True


def check_publishing(connection: BlockingConnection, exchange: str, routing_key: str) -> None:
    """Check that the account may publish to an exchange, without publishing. Raises one of `FAILURES`.

    RabbitMQ checks the rights first, then the message's properties. The invalid `expiration` makes it refuse this one.
    """
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish(
            exchange, routing_key, b"", BasicProperties(expiration="invalid: this only checks rights")
        )
    except amqp.ChannelClosedByBroker as exc:
        if exc.reply_code != PRECONDITION_FAILED:
            raise


def cause(exc: Exception) -> Exception:
    """Return the error that prevented a connection, without the errors that pika wraps around it."""
    if isinstance(exc, connecting.AMQPConnectionWorkflowFailed):
        exc = exc.exceptions[-1]
    return exc.exception if isinstance(exc, connecting.AMQPConnectorPhaseErrorBase) else exc


def refusal(exc: Exception) -> str | None:
    """Return what RabbitMQ refuses and what to do, None for an outage (away, starting or overloaded)."""
    if isinstance(exc, (amqp.ProbableAuthenticationError, amqp.ProbableAccessDeniedError)):
        if not any(name in str(exc) for name in _REFUSED.values()):
            return None  # the connection broke during the login
        return (
            f"RabbitMQ refuses the account or virtual host of RABBITMQ_URL: {exc}. Correct it, or run the provisioning."
        )
    if isinstance(exc, (amqp.ChannelClosedByBroker, amqp.ConnectionClosedByBroker)) and exc.reply_code in _REFUSED:
        return f"RabbitMQ says {exc.reply_text}. Run the provisioning: it sets rights, queues and bindings."
    if isinstance(exc, amqp.UnroutableError):
        return "RabbitMQ has no queue for a message. Run the provisioning: it declares queues and bindings."
    if isinstance(exc, SSLCertVerificationError):
        return f"RabbitMQ's certificate is not trusted ({exc}). Check RABBITMQ_URL and its ssl_options."
    return None
