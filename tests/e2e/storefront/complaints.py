"""The complaints of a browser while people use the page. A test announces those that it expects."""

from collections.abc import Collection

from playwright.sync_api import BrowserContext, ConsoleMessage, Request

SERIOUS = ("error", "warning")
WITHDRAWN = "net::ERR_ABORTED"  # the page has given the request up, or was left


class Complaints:
    """Complaints of the browsers of one test: errors in the console, among them each violation of the
    Content-Security-Policy and each status from 400 on, exceptions, failed requests, and requests to other hosts.
    """

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = hosts
        self._found: list[str] = []
        self._announced: list[tuple[str, ...]] = []

    def listen(self, context: BrowserContext) -> None:
        """Note what a browser complains about from now on."""
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._found.append(f"exception: {error.error}"))
        context.on("requestfailed", self._on_failure)
        context.on("request", self._on_request)

    def announce(self, *parts: str) -> None:
        """Expect complaints that have all of these parts: at least one of them, and any number."""
        self._announced.append(parts)

    def unannounced(self) -> list[str]:
        """Return the complaints that no test has announced."""
        return [text for text in self._found if not any(_matches(text, parts) for parts in self._announced)]

    def missing(self) -> list[str]:
        """Return what was announced and did not happen."""
        missing = [parts for parts in self._announced if not any(_matches(text, parts) for text in self._found)]
        return [f"announced only: {', '.join(parts)}" for parts in missing]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in SERIOUS:
            self._found.append(f"console: {message.text} ({message.location['url']})")

    def _on_failure(self, request: Request) -> None:
        if request.failure != WITHDRAWN:
            self._found.append(f"failed request: {request.method} {request.url}: {request.failure}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((*self._hosts, "data:", "blob:")):
            self._found.append(f"foreign host: {request.method} {request.url}")


def _matches(text: str, parts: tuple[str, ...]) -> bool:
    return all(part in text for part in parts)
