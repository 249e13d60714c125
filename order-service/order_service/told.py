"""The history of notifications, as `python -m notification_service.audit` prints it: what buyers were told."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

END = "dead_letters"  # the kind of the last record; without it, the history was cut off

CANNOT_READ = (
    "The history of notifications is not complete. Give all that `python -m notification_service.audit` prints to "
    "standard input; its last line has the number of dead letters, for which RabbitMQ must answer."
)


class InvalidHistory(Exception):
    """The input is not the whole history of notifications. Nothing was changed."""


@dataclass
class Told:
    """The notifications about one order: the status of each by its id, `{event id}:{channel}`."""

    order_id: str
    user_id: str
    statuses: dict[str, str] = field(default_factory=dict)

    @property
    def event_types(self) -> list[str]:
        """Return the types of the events, without repetition."""
        types = (key.removeprefix(f"{self.order_id}.").partition(":")[0] for key in self.statuses)
        return list(dict.fromkeys(types))


def read_history(lines: Iterable[str]) -> dict[str, Told]:
    """Return what buyers were told, by the order's id. Raises InvalidHistory for anything but a whole history."""
    told: dict[str, Told] = {}
    kind = ""
    try:
        for line in lines:
            record = json.loads(line)
            kind = record["kind"]
            if kind == "notification":
                order = told.setdefault(record["order_id"], Told(record["order_id"], record["user_id"]))
                order.statuses[f"{record['event_id']}:{record['channel']}"] = record["status"]
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidHistory(CANNOT_READ) from exc
    if kind != END:
        raise InvalidHistory(CANNOT_READ)
    return told
