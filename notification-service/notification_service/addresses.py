"""The names that mail needs: mailboxes (RFC 5322), and host names as the DNS has them (A-labels, RFC 5890)."""

import ipaddress
import re
from email.errors import MessageError, NonASCIILocalPartDefect, ObsoleteHeaderDefect
from email.headerregistry import Address
from email.policy import default

import idna

MAX_MAILBOX = 320  # characters, with the display name; an address has at most 254 (RFC 5321, 4.5.3.1.3)

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # underscores are in no standard, but in some networks
_HOST_NAME = re.compile(rf"(?=.{{1,254}}\Z)(?:{_LABEL}\.)*(?![0-9]+\.?\Z){_LABEL}\.?", re.IGNORECASE)
_HARMLESS = (NonASCIILocalPartDefect, ObsoleteHeaderDefect)  # SMTPUTF8 allows the first; the second is rewritten


def mailbox(text: str) -> Address:
    """Return a mailbox, such as `Ana <ana@example.com>`, with its domain in A-labels. Raises ValueError.

    A-labels need no extension of the mail server. A comma in a display name needs quotes (RFC 5322, 3.4).
    """
    if not text.isprintable() or len(text) > MAX_MAILBOX:
        raise ValueError("not a mailbox")
    try:
        header = default.header_factory("Sender", text)  # the header that has a single mailbox
        address = header.address
    except (IndexError, MessageError) as exc:
        raise ValueError("not a mailbox") from exc
    is_group = header.groups[0].display_name is not None
    if not address.username or is_group or any(not isinstance(defect, _HARMLESS) for defect in header.defects):
        raise ValueError("not a mailbox")
    return Address(address.display_name, address.username, host_name(address.domain))


def host_name(text: str) -> str:
    """Return a host name in ASCII, with international labels as A-labels. Raises ValueError."""
    name = text if text.isascii() else idna.encode(text, uts46=True).decode()
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name


def server_name(text: str) -> str:
    """Return the name or the IP address of a server. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return host_name(text)


def client_name(text: str) -> str:
    """Return a name for EHLO (RFC 5321, 4.1.1.1): a full host name or an address literal. Raises ValueError."""
    if text.startswith("["):
        literal = address_literal(text.strip("[]").removeprefix("IPv6:"))
        if literal != text.lower().replace("ipv6", "IPv6"):
            raise ValueError("not an address literal")
        return literal
    name = host_name(text)
    if "." not in name.strip(".") or "_" in name:
        raise ValueError("not a full host name")
    return name


def address_literal(address: str) -> str:
    """Return an IP address as a name for EHLO: `[192.0.2.1]`, `[IPv6:2001:db8::1]`. Raises ValueError."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[{ip}]" if ip.version == 4 else f"[IPv6:{ip}]"
