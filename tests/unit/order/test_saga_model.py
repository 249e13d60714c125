"""The saga of placing an order keeps every invariant in every state, and needs each of its rules for that."""

import importlib
from collections.abc import Iterator

import pytest

from tests.model.actions import ACTIONS
from tests.model.configurations import BROKEN, SMALL
from tests.model.saga import Rule, Saga, State, invariants, search

STATES = {"two requests with one key": 70_000, "a request with a key, another order": 30_000}
ENVIRONMENT = {"crash", "lost", "lost insert", "late insert", "late commit"}  # what happens to the actors


def last(saga: Saga, only: str = "", limit: int = 10**9) -> tuple[int, str, tuple[str, ...]]:
    *_, found = search(saga, only, limit)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_every_invariant_holds_in_every_state(name: str) -> None:
    states, broken, way = last(SMALL[name])
    assert (broken, way) == ("", ())
    assert states >= STATES[name]


def test_every_action_is_taken() -> None:
    taken = set()

    class Watched(Saga):
        def transitions(self, state: State) -> Iterator[tuple[str, str, State]]:
            for transition in super().transitions(state):
                taken.add(transition[0])
                yield transition

    last(Watched(other=False), limit=10_000)
    assert taken == {*ACTIONS, *ENVIRONMENT}


@pytest.mark.parametrize(("rule", "invariant"), [(rule, name) for rule in BROKEN for name in BROKEN[rule][1:]])
def test_without_a_rule_an_invariant_breaks(rule: Rule, invariant: str) -> None:
    _, broken, way = last(BROKEN[rule][0]._replace(without=rule), invariant, 100_000)
    assert broken == invariant
    assert way


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_with_the_rule_the_same_saga_breaks_no_invariant_in_its_first_states(rule: Rule) -> None:
    assert last(BROKEN[rule][0], limit=2_000)[1] == ""


def test_every_invariant_can_be_broken() -> None:
    saga = Saga()
    assert {name for _, *names in BROKEN.values() for name in names} == invariants(saga, saga.start()).keys()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_names_a_function_of_the_code(action: str) -> None:
    module, _, qualname = ACTIONS[action].partition(":")
    found = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    assert callable(found)
