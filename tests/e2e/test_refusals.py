"""Healthy means working: a program that RabbitMQ refuses is not ready, says why, and is well when it has its rights.

Needs a stack whose programs can be killed and whose rights can be taken away.
"""

from collections.abc import Iterator

import pytest

from deploy import broker
from deploy.broker import NOTIFICATION_SERVICE, ORDER_SERVICE, Rights
from deploy.config import Account
from tests.waiting import until
from tools.stack.stack import Stack

RIGHTS = [
    ("order-worker", Rights(write=ORDER_SERVICE.write)),
    ("order-worker", Rights(write="^notifications$", read=ORDER_SERVICE.read)),
    ("order-worker", Rights(write=r"^shop\.events$", read=ORDER_SERVICE.read)),
    ("notification-consumer", Rights(write=NOTIFICATION_SERVICE.write)),
    ("notification-consumer", Rights(read=NOTIFICATION_SERVICE.read)),
]


@pytest.fixture
def management(stack: Stack) -> Iterator[broker.Management]:
    management_url = f"http://127.0.0.1:{stack.ports['rabbitmq-management']}"
    made = broker.Management(management_url, stack.administrators()["RABBITMQ_URL"])
    yield made
    for program, whole in (("order-worker", ORDER_SERVICE), ("notification-consumer", NOTIFICATION_SERVICE)):
        made.set_user(account_of(stack, program), whole)
    stack.wait_until_ready()


def account_of(stack: Stack, program: str) -> Account:
    return Account.of_url(stack.environment(program)["RABBITMQ_URL"])


def errors(stack: Stack, program: str) -> list[str]:
    lines = (stack.state / "logs" / f"{program}.log").read_text().splitlines()
    return [line for line in lines if '"level": "error"' in line and "misconfigured: " in line]


@pytest.mark.parametrize(("program", "rights"), RIGHTS)
def test_what_rabbitmq_refuses_makes_a_program_unwell_until_it_is_granted(
    stack: Stack, management: broker.Management, program: str, rights: Rights
) -> None:
    known = len(errors(stack, program))
    management.set_user(account_of(stack, program), rights)
    stack.kill(program)
    until(lambda: program in stack.unready(), "it is not ready", seconds=60)
    until(lambda: len(errors(stack, program)) > known, "it says so")
    (said,) = errors(stack, program)[known:]
    assert "ACCESS_REFUSED" in said
    assert "Run the provisioning" in said
    assert program in stack.unready()
    management.set_user(account_of(stack, program), ORDER_SERVICE if "order" in program else NOTIFICATION_SERVICE)
    until(lambda: program not in stack.unready(), "it is ready again", seconds=60)
