"""Requests to user-service."""

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3 import BaseHTTPResponse

from chassis.errors import Misconfigured, Unavailable
from chassis.telemetry import outgoing

Account = tuple[str, str]
Form = Mapping[str, str]


def ask(
    method: str, url: str, settings: str, *, timeout: float, form: Form | None = None, account: Account | None = None
) -> BaseHTTPResponse:
    """Return user-service's response. Raises Unavailable, or Misconfigured with the variables to check, `settings`.

    `timeout` is in seconds, `account` a name and a secret for HTTP Basic.
    """
    headers, body = _headers(form, account), urlencode(form) if form else None
    try:
        with urllib3.PoolManager(timeout=timeout) as pool, outgoing.request(method, url, urlsplit(url).path) as sent:
            response = pool.request(method, url, body=body, headers=headers | sent.headers, retries=False)
            sent.answered(response.status)
    except urllib3.exceptions.SSLError as exc:
        raise Misconfigured(f"The certificate of {url} is not trusted. Check {settings}.") from exc
    except urllib3.exceptions.HTTPError as exc:
        raise Unavailable(f"{url} does not answer: {type(exc).__name__}.") from exc
    if response.status >= 500 or response.status == 429:
        raise Unavailable(f"{url} answered {response.status}.")
    if response.status != 200:
        raise Misconfigured(f"{url} answered {response.status}. Check {settings}.")
    return response


def _headers(form: Form | None, account: Account | None) -> dict[str, str]:
    headers = {}
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if account:
        headers["Authorization"] = f"Basic {b64encode(':'.join(account).encode()).decode()}"
    return headers
