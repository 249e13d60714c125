"""Splitting URLs that people wrote."""

from urllib.parse import SplitResult, urlsplit


def split_url(value: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes, a host and a valid port; None for any other text."""
    try:
        parts = urlsplit(value)
        return parts if parts.scheme in schemes and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None
