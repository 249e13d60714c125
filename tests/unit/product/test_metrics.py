"""What product-service counts: the outcome of each reservation, once."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from chassis.errors import Problem
from product_service.model import HELD, REFUSED, RELEASED, Line, Reservation, Shortage
from product_service.reservations import Reservations
from product_service.store import transactions
from product_service.store.transactions import WRITE_CONFLICT
from tests.counted import counted


class FakeStore:
    """A store that answers with one record."""

    def __init__(self, state: str, shortages: tuple[Shortage, ...], is_new: bool) -> None:
        lines, now = (Line("a", 2), Line("b", 1)), datetime(2026, 1, 31, tzinfo=UTC)
        self._answer = Reservation("o1", state, lines, (), "EUR", shortages, now), is_new

    def reserve(self, _order_id: str, _requested: tuple[Line, ...]) -> tuple[Reservation, bool]:
        return self._answer


LACKS_BOTH = (Shortage("a", 2, 1), Shortage("b", 1, 0))
LACKS_ONE_AND_DOES_NOT_KNOW_ONE = (Shortage("a", 2, 1), Shortage("b", 1, None))


@pytest.mark.parametrize(
    ("state", "shortages", "is_new", "quantity", "outcome", "lines"),
    [
        (HELD, (), True, 2, "held", 0),
        (HELD, (), False, 2, "repeated", 0),
        (HELD, (), False, 3, "conflict", 0),
        (REFUSED, LACKS_BOTH, True, 2, "insufficient", 2),
        (REFUSED, LACKS_BOTH[:1], True, 2, "insufficient", 1),
        (REFUSED, LACKS_ONE_AND_DOES_NOT_KNOW_ONE, True, 2, "unknown", 1),
        (REFUSED, LACKS_BOTH, False, 2, "repeated", 0),
        (REFUSED, LACKS_BOTH, False, 3, "conflict", 0),
        (RELEASED, (), False, 2, "conflict", 0),
    ],
)
def test_a_reservation_counts_by_its_outcome_and_a_stock_out_once(
    state: str, shortages: tuple[Shortage, ...], is_new: bool, quantity: int, outcome: str, lines: int
) -> None:
    reservations = Reservations(FakeStore(state, shortages, is_new))  # type: ignore[arg-type]
    with counted() as grown, suppress(Problem):
        reservations.reserve("o1", [Line("a", quantity), Line("b", 1)])
    expected = {f"shop_reservations_total {outcome}": 1} | ({"shop_stockout_lines_total": lines} if lines else {})
    assert grown == expected


def test_each_repeated_transaction_counts_and_the_first_and_other_failures_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactions, "MAX_BACKOFF", 0.0)
    failures: list[Any] = [OperationFailure("conflict", WRITE_CONFLICT)] * 2

    class Session:
        def with_transaction(self, work: Any) -> Any:
            return work(self)

    def work(_session: Any) -> str:
        if failures:
            raise failures.pop()
        return "done"

    with counted() as grown:
        assert transactions._retry_write_conflicts(work, Session()) == "done"  # type: ignore[arg-type]
        failures.append(OperationFailure("no right", 13))
        with pytest.raises(OperationFailure):
            transactions._retry_write_conflicts(work, Session())  # type: ignore[arg-type]
    assert grown == {"shop_reservation_retries_total": 2}
