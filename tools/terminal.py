"""Text for a terminal."""


def escape(text: str) -> str:
    """Return a text in which everything that could move the cursor or hide text is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
