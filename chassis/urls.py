"""Splitting URLs that people wrote."""

from urllib.parse import SplitResult, urlsplit


def split_url(value: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes, a host and a valid port; None for any other text."""
    try:
        parts = urlsplit(value)
        return parts if parts.scheme in schemes and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def has_only_url_characters(value: str) -> bool:
    """Return whether a text is printable ASCII without blanks and the characters that RFC 3986 excludes from URLs."""
    return value.isascii() and value.isprintable() and not set(value) & set(' "<>\\^`{|}')
