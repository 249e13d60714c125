"""Limits on how often people may try: sign-ins that fail, registrations, refreshes; for all processes together.

To add a limit, add it to one of the tuples, or claim a place under a key of its own. Who is over a limit gets 429
before anything costly happens. The windows move: the n-th last attempt must be older than the window.

Attempts are kept in the service's own database, one document per key, written only where something failed: a correct
sign-in costs one read of three documents. The package `limits` was measured here first: it needs one query per window
and keeps a connection pool of its own, which made the same check six times as slow (3 ms).
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

if TYPE_CHECKING:
    from user_service.store import AttemptStore

TRUST = timedelta(days=30)
# Some proxies write the client's port, too: 192.0.2.1:5678, [2001:db8::1]:443.
_WITH_PORT = re.compile(r"(?P<v4>[0-9.]+):[0-9]+|\[(?P<v6>[^\]]*)\](:[0-9]+)?")


@dataclass(frozen=True)
class Limit:
    """At most so many attempts in so many seconds."""

    count: int
    seconds: int


# Together these make a delay that grows: first a minute, then ten, then an hour.
HERE = (Limit(10, 60), Limit(20, 600), Limit(50, 3600))  # failures for one account from one address
EVERYWHERE = (Limit(30, 60), Limit(60, 600), Limit(100, 3600))  # for one account, but not from where its owner signs in
ADDRESS = (Limit(100, 60),)  # from one address, whatever the account: many people may share it


@dataclass(frozen=True)
class Attempts:
    """The latest attempts under a key, newest first, and until when its address is trusted with its account."""

    times: tuple[datetime, ...] = ()
    trusted_until: datetime | None = None


class Throttle:
    """Count attempts, and refuse those over a limit with TooManyRequests."""

    def __init__(
        self,
        attempts: "AttemptStore",
        clock: Callable[[], datetime],
        *,
        registrations_per_minute: int,
        refreshes_per_minute: int,
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._registrations = Limit(registrations_per_minute, 60)
        self._refreshes = Limit(refreshes_per_minute, 60)

    def begin_sign_in(self, account: str, address: str | None) -> "SignIn":
        """Return the sign-in that may be tried now. Raises TooManyRequests.

        Only failures count, and only once they are known: those under way at the same moment may exceed a limit.
        """
        place = _network(address)
        here, everywhere, network = (_key("account", account, place), _key("account", account), _key("address", place))
        found = self._attempts.find([here, everywhere, network])
        known, now = found.get(here, Attempts()), self._clock()
        trusted = known.trusted_until is not None and known.trusted_until > now
        checks = [
            (known, HERE),
            (found.get(network), ADDRESS),
            (None if trusted else found.get(everywhere), EVERYWHERE),
        ]
        wait = max(_wait(attempts.times, limits, now) for attempts, limits in checks if attempts)
        if wait > 0:
            raise TooManyRequests("Too many failed sign-ins. Wait before the next one.", retry_after=math.ceil(wait))
        return SignIn(self._attempts, self._clock, here, (everywhere, network), known)

    def register(self, address: str | None) -> None:
        """Count a registration. Raises TooManyRequests."""
        self._claim(_key("registration", _network(address)), self._registrations)

    def refresh(self, address: str | None) -> None:
        """Count a refresh. Raises TooManyRequests."""
        self._claim(_key("refresh", _network(address)), self._refreshes)

    def _claim(self, key: str, limit: Limit) -> None:
        now = self._clock()
        if not self._attempts.claim(key, limit.count, now, timedelta(seconds=limit.seconds)):
            known = self._attempts.find([key]).get(key, Attempts())
            wait = math.ceil(_wait(known.times, (limit,), now))
            raise TooManyRequests("Too many requests of this kind from your address.", retry_after=wait)


@dataclass(frozen=True)
class SignIn:
    """A sign-in under way; it ends as failed or succeeded."""

    _attempts: "AttemptStore"
    _clock: Callable[[], datetime]
    _here: str
    _others: tuple[str, ...]
    _known: Attempts

    def failed(self) -> None:
        """Count the failure."""
        for key, limits in zip((self._here, *self._others), (HERE, EVERYWHERE, ADDRESS), strict=True):
            self._attempts.add(key, self._clock(), keep=limits[-1].count, life=timedelta(seconds=limits[-1].seconds))

    def succeeded(self) -> None:
        """Forget failures from here, and trust this address with the account for 30 days."""
        now = self._clock()
        trusted_until = self._known.trusted_until
        if self._known.times or trusted_until is None or trusted_until < now + TRUST - timedelta(days=1):
            self._attempts.trust(self._here, now + TRUST)


def _wait(times: tuple[datetime, ...], limits: Iterable[Limit], now: datetime) -> float:
    """Return the seconds until one more attempt is within all limits, 0 or less for now."""
    full = [limit for limit in limits if len(times) >= limit.count]
    return max((limit.seconds - (now - times[limit.count - 1]).total_seconds() for limit in full), default=0)


def _network(address: str | None) -> str:
    """Return whom an address stands for: with IPv6 a customer has a whole /64, so that is what is counted."""
    with_port = _WITH_PORT.fullmatch(address or "")
    host = (with_port["v4"] or with_port["v6"]) if with_port else (address or "")
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


def _key(*parts: str) -> str:
    """Return a key that shows neither the account nor the address. `repr` keeps the parts apart."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
