"""The saga of placing an order keeps every promise in every state, and each of its rules is needed for that."""

import importlib
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from tests.model.configurations import BROKEN, SMALL
from tests.model.invariants import CHECKS
from tests.model.rules import Rule
from tests.model.saga import ACTIONS, ENVIRONMENT
from tests.model.search import Result, search

STATES = {"two requests with one key": 50_000, "a request with a key, another order": 40_000}


@cache
def searched(name: str) -> Result:
    return search(SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_every_invariant_holds_in_every_state(name: str) -> None:
    result = searched(name)
    assert (result.violated, result.trace) == ("", [])
    assert result.complete
    assert result.states >= STATES[name]


def test_every_action_is_taken() -> None:
    taken = sum((searched(name).taken for name in SMALL), Counter[str]())
    assert set(taken) == {*ACTIONS, *ENVIRONMENT}


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_a_rule_taken_away_breaks_a_promise(rule: Rule) -> None:
    saga, invariant = BROKEN[rule]
    result = search(replace(saga, without=rule), only=invariant, limit=100_000)
    assert result.violated == invariant
    assert result.trace


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_the_same_saga_with_the_rule_keeps_its_promises_as_far(rule: Rule) -> None:
    assert search(BROKEN[rule][0], limit=2_000).violated == ""


def test_every_invariant_can_be_broken() -> None:
    assert {invariant for _, invariant in BROKEN.values()} == set(CHECKS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_names_a_function_of_the_code(action: str) -> None:
    module, _, qualname = ACTIONS[action].partition(":")
    found = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    assert callable(found)
