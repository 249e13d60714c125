"""Placing an order and paying for it keep every invariant in every state, and need each of their rules for that."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.model.actions import ACTIONS, PAYMENT_ACTIONS
from tests.model.configurations import BROKEN, SMALL
from tests.model.payment import Payments
from tests.model.payment import Rule as PaymentRule
from tests.model.saga import Rule, Saga
from tests.model.search import Specification, Transition, search

STATES = {
    "two requests with one key": 70_000,
    "a request with a key, another order": 30_000,
    "two requests to pay, two workers": 30_000,
    "two requests to pay, a provider with references": 10_000,
    "two requests to pay an order that never expires": 6_000,
}
ENVIRONMENT = {"crash", "lost", "lost insert", "late insert", "late commit"}  # what happens to the actors
PAYMENT_ENVIRONMENT = {"crash", "lost", "late capture", "late look-up", "late refund"}
RULES = [*Rule, *PaymentRule]


def last(model: Specification, only: str = "", limit: int = 10**9) -> tuple[int, str, tuple[str, ...]]:
    *_, found = search(model, only, limit)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_every_invariant_holds_in_every_state(name: str) -> None:
    states, broken, way = last(SMALL[name])
    assert (broken, way) == ("", ())
    assert states >= STATES[name]


@pytest.mark.parametrize(
    ("model", "actions"),
    [
        (Saga(other=False), {*ACTIONS, *ENVIRONMENT}),
        (Payments(by_reference=True), {*PAYMENT_ACTIONS, *PAYMENT_ENVIRONMENT}),
    ],
)
def test_every_action_is_taken(model: Any, actions: set[str]) -> None:
    taken = set()

    class Watched(type(model)):  # type: ignore[misc]
        def transitions(self, state: Any) -> Iterator[Transition]:
            for transition in super().transitions(state):
                taken.add(transition[0])
                yield transition

    last(Watched(*model), limit=10_000)
    assert taken == actions


@pytest.mark.parametrize(("rule", "invariant"), [(rule, name) for rule in BROKEN for name in BROKEN[rule][1:]])
def test_without_a_rule_an_invariant_breaks(rule: Rule | PaymentRule, invariant: str) -> None:
    _, broken, way = last(BROKEN[rule][0]._replace(without=rule), invariant, 100_000)
    assert broken == invariant
    assert way


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_with_the_rule_the_same_search_breaks_no_invariant_in_its_first_states(rule: Rule | PaymentRule) -> None:
    assert last(BROKEN[rule][0], limit=2_000)[1] == ""


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("model", [Saga(), Payments()])
def test_every_invariant_can_be_broken(model: Saga | Payments) -> None:
    broken = {name for smaller, *names in BROKEN.values() if type(smaller) is type(model) for name in names}
    assert broken == model.invariants(model.start()).keys()


@pytest.mark.parametrize("function", sorted({*ACTIONS.values(), *PAYMENT_ACTIONS.values()}))
def test_every_action_names_a_function_of_the_code(function: str) -> None:
    module, _, qualname = function.partition(":")
    found = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    assert callable(found)
