"""Requests to user-service."""

from typing import Any
from urllib.parse import urlsplit

import requests

from chassis.errors import Misconfigured, Unavailable
from chassis.telemetry import outgoing


def ask(method: str, url: str, settings: str, **arguments: Any) -> requests.Response:
    """Return user-service's response. Raises Unavailable, or Misconfigured with the variables to check, `settings`."""
    try:
        with requests.Session() as session, outgoing.request(method, url, urlsplit(url).path) as sent:
            session.trust_env = False  # a proxy from the environment does not know the services' host names
            response = session.request(method, url, headers=sent.headers, **arguments)
            sent.answered(response.status_code)
    except requests.exceptions.SSLError as exc:
        raise Misconfigured(f"The certificate of {url} is not trusted. Check {settings}.") from exc
    except requests.RequestException as exc:
        raise Unavailable(f"{url} does not answer: {type(exc).__name__}.") from exc
    if response.status_code >= 500 or response.status_code == requests.codes.too_many_requests:
        raise Unavailable(f"{url} answered {response.status_code}.")
    if response.status_code != requests.codes.ok:
        raise Misconfigured(f"{url} answered {response.status_code}. Check {settings}.")
    return response
