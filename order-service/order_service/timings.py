"""The waiting times of the worker, with their reasons."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """The times of a worker, in seconds."""

    poll: float = 0.1  # between rounds with nothing to do
    publish_retry_delay: float = 2.0  # events wait this long after RabbitMQ has failed
    check_every: float = 5.0  # while RabbitMQ refuses to let the worker publish
    check_in_outage_every: float = 30.0  # while RabbitMQ is away; each check may take seconds
    release_budget: float = 1.0  # for the releases of one round, so that events need not wait for all releases
    release_retry_delay: float = 5.0  # longer than a round takes while product-service hangs: other releases get a turn
    settle_budget: float = 1.0  # for the payments of one round
    settle_retry_delay: float = 5.0  # longer than a round takes while the payment provider hangs
    pending_retry_delay: float = 60.0  # for what the payment provider decides in hours or days
    reconcile_every: float = 5.0
    measure_every: float = 5.0  # the backlog; Prometheus asks less often
    reconcile_age: float = 15.0  # placing an order takes less, and a request that takes longer finds its id taken
    lease: float = 10.0  # of a worker: so long its share waits for it when it is killed
    renew_every: float = 3.0  # the lease; three attempts in the time of one
    exit_within: float = 25.0  # for a graceful shutdown; the supervisor kills the worker a few seconds later
