"""Misconfigurations of RabbitMQ are distinguished from outages."""

import ssl

import pytest
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
    UnroutableError,
)

from chassis.amqp import refusal

LOST = "Client was disconnected: StreamLostError: ('Transport indicated EOF',)"


@pytest.mark.parametrize(
    "exc",
    [
        ChannelClosedByBroker(403, "ACCESS_REFUSED - access to queue 'notifications' refused"),
        ChannelClosedByBroker(404, "NOT_FOUND - no queue 'notifications'"),
        ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost /x not found"),
        ProbableAuthenticationError("ConnectionClosedByBroker: (403) 'ACCESS_REFUSED - Login was refused'"),
        ProbableAccessDeniedError("ConnectionClosedByBroker: (530) 'NOT_ALLOWED - access to vhost refused'"),
        UnroutableError([]),
        ssl.SSLCertVerificationError(),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_a_misconfiguration_is_a_refusal_with_advice(exc: Exception) -> None:
    reason = refusal(exc)
    assert reason is not None
    assert any(advice in reason for advice in ("run the provisioning", "Run the provisioning", "Check RABBITMQ_URL"))


@pytest.mark.parametrize(
    "exc",
    [
        AMQPConnectionError(),
        StreamLostError("gone"),
        ProbableAuthenticationError(LOST),
        ProbableAccessDeniedError(LOST),
        ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"),
        ChannelClosedByBroker(541, "INTERNAL_ERROR - no leader"),
        NackError([]),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_a_broker_that_is_away_starting_or_overloaded_refuses_nothing(exc: Exception) -> None:
    assert refusal(exc) is None
