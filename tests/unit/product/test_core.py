"""The rules of reservations, without a database."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.paging import Page
from product_service.model import (
    HELD,
    REFUSED,
    RELEASED,
    InsufficientStock,
    Line,
    Reservation,
    ReservationMismatch,
    ReservationReleased,
    Shortage,
    UnknownProduct,
)
from product_service.reservations import Reservations, refusal, sum_per_product

lines = st.lists(st.builds(Line, st.sampled_from("abcd"), st.integers(1, 1000)), max_size=30)


@given(lines)
def test_summing_loses_no_unit_and_names_each_product_once_in_order(requested: list[Line]) -> None:
    total = sum_per_product(requested)
    assert [line.product_id for line in total] == sorted({line.product_id for line in requested})
    assert sum(line.quantity for line in total) == sum(line.quantity for line in requested)


@given(lines, st.randoms())
def test_the_order_of_lines_makes_no_difference(requested: list[Line], chance: st.DataObject) -> None:
    shuffled = list(requested)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum_per_product(shuffled) == sum_per_product(requested)


class FakeStore:
    """A store that answers every request with the same reservation."""

    def __init__(self, state: str, *shortages: Shortage) -> None:
        self.recorded = Reservation(
            "o1", state, (Line("a", 2),), (), "EUR", shortages, datetime(2026, 1, 31, tzinfo=UTC)
        )

    def reserve(self, _order_id: str, _requested: tuple[Line, ...]) -> tuple[Reservation, bool]:
        return self.recorded, False

    def release(self, _order_id: str) -> None:
        pass

    def older_than(self, _seconds: float, *, limit: int, cursor: str | None) -> Page[Reservation]:
        return Page([self.recorded][:limit], cursor)


def reservations(state: str, *shortages: Shortage) -> Reservations:
    return Reservations(FakeStore(state, *shortages))  # type: ignore[arg-type]


def test_a_held_reservation_is_returned_for_the_same_sum_of_lines() -> None:
    reservation, is_new = reservations(HELD).reserve("o1", [Line("a", 1), Line("a", 1)])
    assert (reservation.order_id, is_new) == ("o1", False)


@pytest.mark.parametrize("state", [HELD, REFUSED])
def test_other_lines_than_recorded_are_refused(state: str) -> None:
    with pytest.raises(ReservationMismatch):
        reservations(state, Shortage("a", 2, 1)).reserve("o1", [Line("a", 3)])


@pytest.mark.parametrize("quantity", [2, 3])
def test_a_released_reservation_stays_released_whatever_the_lines(quantity: int) -> None:
    with pytest.raises(ReservationReleased):
        reservations(RELEASED).reserve("o1", [Line("a", quantity)])


def test_a_recorded_refusal_is_repeated() -> None:
    with pytest.raises(InsufficientStock) as refused:
        reservations(REFUSED, Shortage("a", 2, 1)).reserve("o1", [Line("a", 2)])
    assert refused.value.members == {"lines": [{"product_id": "a", "requested": 2, "available": 1}]}


def test_an_unknown_product_is_reported_rather_than_too_little_stock() -> None:
    problem = refusal((Shortage("a", 2, 1), Shortage("b", 1, None), Shortage("c", 1, None)))
    assert isinstance(problem, UnknownProduct)
    assert [error["message"] for error in problem.members["errors"]] == [
        "there is no product 'b'",
        "there is no product 'c'",
    ]


def test_a_product_without_stock_is_not_unknown() -> None:
    assert isinstance(refusal((Shortage("a", 1, 0),)), InsufficientStock)
