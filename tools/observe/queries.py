"""What Prometheus answers: the alerts, and the values of an expression."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT = 10.0


class QueryError(Exception):
    """Prometheus does not answer, or refuses the expression; the message says which."""


@dataclass(frozen=True)
class Alert:
    """An alert that fires, or will fire if its condition lasts (`pending`)."""

    name: str
    labels: tuple[tuple[str, str], ...]
    is_firing: bool

    def __str__(self) -> str:
        told = [f"{name}={value}" for name, value in self.labels if name in ("job", "queue", "channel", "long_window")]
        return f"{self.name}{{{','.join(told)}}}" if told else self.name


class Prometheus:
    """The HTTP API of a Prometheus: https://prometheus.io/docs/prometheus/latest/querying/api/."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def alerts(self) -> list[Alert]:
        """Return the alerts that fire or are pending. Raises QueryError."""
        found = self._get("alerts", {})["alerts"]
        return [_alert(alert["labels"], alert["state"]) for alert in found]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now. Raises QueryError."""
        result: list[dict[str, Any]] = self._get("query", {"query": expression})["result"]
        return result

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series that an expression had between two times (seconds since 1970). Raises QueryError."""
        period = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        result: list[dict[str, Any]] = self._get("query_range", {"query": expression, **period})["result"]
        return result

    def targets(self) -> dict[str, str]:
        """Return by job whether its target answers: `up`, or what went wrong. Raises QueryError."""
        found = self._get("targets", {"state": "active"})["activeTargets"]
        return {target["labels"]["job"]: target["lastError"] or target["health"] for target in found}

    def _get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = self._session.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=TIMEOUT)
            document: dict[str, Any] = answer.json()
        except requests.RequestException as exc:
            raise QueryError(f"Prometheus at {self._url} does not answer: {exc}") from exc
        if document["status"] != "success":
            raise QueryError(f"{document['error']}, in {parameters.get('query')}")
        data: dict[str, Any] = document["data"]
        return data


def _alert(labels: Mapping[str, str], state: str) -> Alert:
    others = {name: value for name, value in labels.items() if name != "alertname"}
    return Alert(labels["alertname"], tuple(sorted(others.items())), state == "firing")
