"""E-mail addresses: which are accepted, and which spellings mean one mailbox.

Domains are compared by their A-labels, as DNS does (RFC 5890): `müller.example` and `xn--mller-kva.example` are one
domain, `faß.de` and `fass.de` are two (UTS 46, nontransitional). The part before the @ is compared without case, but
letter by letter: `straße` and `strasse` are two.
"""

import re
import unicodedata

import idna

from chassis.characters import has_visible_character, without_ignorables

MAX_EMAIL_LENGTH = 254  # RFC 5321, 4.5.3.1.3

_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}")
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_email(text: str) -> str:
    """Return an e-mail address in the form to store. Raises ValueError if no mail server can have it."""
    email = _normalised(text)
    local, _, domain = email.rpartition("@")
    has_bad_dots = local.startswith(".") or local.endswith(".") or ".." in local
    is_visible = email.isprintable() and without_ignorables(email) == email and has_visible_character(local)
    if has_bad_dots or not _LOCAL.fullmatch(local) or not is_visible:
        raise ValueError("must be an e-mail address")
    a_labels = _a_labels(domain)
    if not _HOST_NAME.fullmatch(a_labels) or max(len(email), len(local) + 1 + len(a_labels)) > MAX_EMAIL_LENGTH:
        raise ValueError("must be an e-mail address with a host name after the @")
    return email


def canonical_email(email: str) -> str:
    """Return the form that all spellings of a mailbox share. Accounts are compared by it."""
    local, at, domain = _normalised(email).rpartition("@")
    return _lower(local) + at + _a_labels(domain)


def as_spelled(email: str) -> str:
    """Return an e-mail address in lower case, its domain as written.

    It distinguishes the accounts that an earlier version accepted for one mailbox.
    """
    return _lower(_normalised(email))


def _normalised(text: str) -> str:
    """Return the address in compatibility form (as UTS 46 maps domains), with plain dots for ideographic full stops."""
    return unicodedata.normalize("NFKC", text.strip()).replace("\u3002", ".").strip()


def _lower(text: str) -> str:
    """Return lower case. `casefold` would turn ß into ss. A final sigma is a sigma: upper case has only one form."""
    return unicodedata.normalize("NFKC", text.lower()).replace("ς", "σ")


def _a_labels(domain: str) -> str:
    """Return a domain as DNS compares it, or in lower case if it is no domain."""
    try:
        return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.lower()
