"""Limits on failed sign-ins, registrations and refreshes, shared by all processes.

A caller over a limit gets 429 before anything costly happens. Windows slide: the n-th latest attempt must be older than
the window. To add a limit, add it to a tuple below, or claim a place under a key of its own. Only failed sign-ins are
written, so a correct sign-in costs one query. docs/decisions/10 says why the package `limits` is not used.
"""

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chassis.errors import TooManyRequests
from user_service.model import Attempts

if TYPE_CHECKING:
    from user_service.store import AttemptStore


@dataclass(frozen=True)
class Limit:
    """At most `count` attempts within a sliding window."""

    count: int
    window: timedelta


MINUTE = timedelta(minutes=1)
# Together, the limits of a tuple make a delay that grows: a minute, then ten minutes, then an hour.
ACCOUNT_AND_ADDRESS_LIMITS = (Limit(10, MINUTE), Limit(20, 10 * MINUTE), Limit(50, 60 * MINUTE))
# From all addresses together. A trusted address is exempt: strangers cannot lock the owner out.
ACCOUNT_LIMITS = (Limit(30, MINUTE), Limit(60, 10 * MINUTE), Limit(100, 60 * MINUTE))
ADDRESS_LIMITS = (Limit(100, MINUTE),)  # for all accounts together: many people may share an address
SIGN_IN_LIMITS = (ACCOUNT_AND_ADDRESS_LIMITS, ACCOUNT_LIMITS, ADDRESS_LIMITS)

TRUST_PERIOD = timedelta(days=30)  # how long an address is trusted with an account after a correct sign-in
TRUST_RENEWAL = timedelta(days=1)  # renewing trust at most once a day saves a write at nearly every sign-in
# Some proxies add the client's port: 192.0.2.1:5678, [2001:db8::1]:443.
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]+|\[(?P<v6>[^\]]*)\](:[0-9]+)?")


@dataclass(frozen=True)
class SignInAttempt:
    """A sign-in that may go on: a key for each of SIGN_IN_LIMITS, and the earlier attempts under the first key."""

    keys: tuple[str, str, str]
    history: Attempts


@dataclass(frozen=True)
class Throttle:
    """Counts attempts, and refuses attempts over a limit with TooManyRequests."""

    store: "AttemptStore"
    clock: Callable[[], datetime]
    registrations_per_minute: int
    refreshes_per_minute: int

    def start_sign_in(self, account: str, address: str | None) -> SignInAttempt:
        """Return an attempt, whose outcome must be recorded. Raises TooManyRequests.

        Only known failures count: attempts that run at the same moment may together exceed a limit.
        """
        network = network_of(address)
        keys = (_key("account", account, network), _key("account", account), _key("address", network))
        own, account_wide, network_wide = self.store.find(keys)
        now = self.clock()
        trusted = own.trusted_until is not None and own.trusted_until > now
        wait = max(
            _wait(own, ACCOUNT_AND_ADDRESS_LIMITS, now),
            0 if trusted else _wait(account_wide, ACCOUNT_LIMITS, now),
            _wait(network_wide, ADDRESS_LIMITS, now),
        )
        if wait > 0:
            raise TooManyRequests("Too many failed sign-ins. Wait before the next attempt.", retry_after=wait)
        return SignInAttempt(keys, own)

    def record_failure(self, attempt: SignInAttempt) -> None:
        """Count a failed sign-in under each of its keys."""
        for key, limits in zip(attempt.keys, SIGN_IN_LIMITS, strict=True):
            self.store.add(key, self.clock(), keep=limits[-1].count, lifetime=limits[-1].window)

    def record_success(self, attempt: SignInAttempt) -> None:
        """Forget the failures for this account from this address, and trust the address with the account."""
        trusted_until = self.clock() + TRUST_PERIOD
        before = attempt.history.trusted_until
        if attempt.history.times or before is None or before < trusted_until - TRUST_RENEWAL:
            self.store.trust(attempt.keys[0], trusted_until)

    def count_registration(self, address: str | None) -> None:
        """Count a registration. Raises TooManyRequests."""
        self._claim("registration", address, self.registrations_per_minute)

    def count_refresh(self, address: str | None) -> None:
        """Count a refresh. Raises TooManyRequests."""
        self._claim("refresh", address, self.refreshes_per_minute)

    def _claim(self, kind: str, address: str | None, per_minute: int) -> None:
        key, limit, now = _key(kind, network_of(address)), Limit(per_minute, MINUTE), self.clock()
        if not self.store.claim(key, limit.count, now, limit.window):
            wait = _wait(self.store.find([key])[0], [limit], now)
            raise TooManyRequests("Too many requests from your address. Wait before the next one.", retry_after=wait)


def _wait(attempts: Attempts, limits: Iterable[Limit], now: datetime) -> int:
    """Return the seconds until one more attempt is within all limits; 0 or less means now."""
    reached = [limit for limit in limits if len(attempts.times) >= limit.count]
    waits = [(attempts.times[limit.count - 1] + limit.window - now).total_seconds() for limit in reached]
    return math.ceil(max(waits, default=0))


def network_of(address: str | None) -> str:
    """Return the network that counts: an IPv4 address itself, or the /64 of an IPv6 address (one customer)."""
    with_port = _WITH_PORT.fullmatch(address or "")
    host = (with_port["v4"] or with_port["v6"]) if with_port else (address or "")
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))


def _key(*parts: str) -> str:
    """Return a key that shows neither the account nor the address. `repr` keeps the parts apart."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
