"""A bulk write over several collections raises the errors that its writes would raise one by one."""

from typing import Any

import pytest
from pymongo.errors import ClientBulkWriteException, DuplicateKeyError, NetworkTimeout, OperationFailure, PyMongoError

from chassis.mongo import bulk_write, is_outage
from product_service.store.transactions import WRITE_CONFLICT


class Server:
    """A server whose bulk writes end with an error."""

    def __init__(self, error: PyMongoError | None, *write_errors: dict[str, Any]) -> None:
        self.client = self
        self._details = {"error": error, "writeErrors": list(write_errors), "writeConcernErrors": []}

    def bulk_write(self, _writes: Any, session: Any) -> None:
        raise ClientBulkWriteException(self._details, False)


def raised(server: Server) -> PyMongoError:
    with pytest.raises(PyMongoError) as caught:
        bulk_write(server, [], None)  # type: ignore[arg-type]
    return caught.value


def test_an_error_of_the_whole_command_is_raised_as_it_is() -> None:
    labels = {"errorLabels": ["TransientTransactionError"]}
    for error in (
        OperationFailure("conflict", WRITE_CONFLICT, labels),
        NetworkTimeout("late"),
        OperationFailure("no", 13),
    ):
        assert raised(Server(error)) is error
    assert is_outage(raised(Server(NetworkTimeout("late"))))


@pytest.mark.parametrize(
    ("code", "kind"), [(WRITE_CONFLICT, OperationFailure), (11000, DuplicateKeyError), (121, OperationFailure)]
)
def test_the_error_of_a_write_is_raised_by_its_code(code: int, kind: type[OperationFailure]) -> None:
    error = raised(Server(None, {"ok": 0.0, "idx": 1, "code": code, "errmsg": "reason"}))
    assert (type(error), getattr(error, "code", None)) == (kind, code)


def test_an_error_of_another_kind_is_not_translated() -> None:
    assert isinstance(raised(Server(None)), ClientBulkWriteException)
