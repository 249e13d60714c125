"""E-mail addresses: which are accepted, and which spellings are one mailbox.

A domain is compared as DNS does, by its A-labels (RFC 5890): `müller.example` and `xn--mller-kva.example` are one,
`faß.de` and `fass.de` are two (UTS 46, nontransitional). What stands before the @ is compared without case; its other
letters differ, `straße` from `strasse` too.
"""

import re
import unicodedata

import idna

from chassis.characters import has_visible_character, without_ignorables

LONGEST_EMAIL = 254  # RFC 5321, 4.5.3.1.3

_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}")
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_email(text: str) -> str:
    """Return an e-mail address as it is to be kept. Raises ValueError for what no mail server would be asked about."""
    email = _normalised(text)
    local, _, domain = email.rpartition("@")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if dots or not _LOCAL.fullmatch(local) or not _is_legible(email) or not has_visible_character(local):
        raise ValueError("must be an e-mail address")
    a_labels = _a_labels(domain)
    if not _HOST_NAME.fullmatch(a_labels) or max(len(email), len(local) + 1 + len(a_labels)) > LONGEST_EMAIL:
        raise ValueError("must be an e-mail address with the name of a host after the @")
    return email


def canonical(email: str) -> str:
    """Return what all spellings of an e-mail address have in common; accounts are compared by it."""
    local, at, domain = _normalised(email).rpartition("@")
    return _lower(local) + at + _a_labels(domain)


def as_written(email: str) -> str:
    """Return an e-mail address without case, its domain as it was written.

    Accounts that an earlier version kept apart, and that are one mailbox, are told apart by it.
    """
    return _lower(_normalised(email))


def _normalised(text: str) -> str:
    """Return the address in compatibility form (UTS 46 maps domains so), with plain dots for ideographic ones."""
    return unicodedata.normalize("NFKC", text.strip()).replace("\u3002", ".").strip()


def _is_legible(email: str) -> bool:
    return email.isprintable() and without_ignorables(email) == email


def _lower(local: str) -> str:
    """Lower the case. Not `casefold`, which makes ß ss; a final sigma is a sigma, as upper case has only one."""
    return unicodedata.normalize("NFKC", local.lower()).replace("ς", "σ")


def _a_labels(domain: str) -> str:
    """Return a domain as DNS compares it; what is no domain comes back in lower case."""
    try:
        return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.lower()
