"""After a restore, let no token of before it be valid: `python -m user_service.recovery`.

A restored database has old keys and old refresh tokens: those that were spent, revoked or stolen since are valid again.
So every refresh token is revoked at once, and a new key signs. The old keys are deleted: user-service refuses their
access tokens after `CACHE_SECONDS`, the other services when their copies of the keys have ended. It is safe to repeat,
and user-service may run meanwhile.
"""

import sys

from chassis import mongo
from chassis.config import DatabaseSettings
from chassis.errors import Problem
from user_service.keys import CACHE_SECONDS, JWKS_CACHE_SECONDS, Keyring
from user_service.store import Indexes, KeyStore, RefreshTokenStore

REPORT = """\
{families} families of refresh tokens are revoked: everybody must sign in again.
The key {kid} signs now. All older keys are deleted: an access token of before is refused after {seconds} s at most.
Passwords and roles are those of the backup: nobody can know which accounts have changed since.
"""


def recover(families: RefreshTokenStore, keyring: Keyring) -> str:
    """Make every token invalid that exists now; return a report. Raises Unavailable, RotationUnderWay."""
    kid = keyring.rotate(revoke_now=True).id  # first the key: until then a sign-in gets a token that ends soon
    revoked = families.revoke_every_family()
    return REPORT.format(families=revoked, kid=kid, seconds=JWKS_CACHE_SECONDS + CACHE_SECONDS)


def main() -> None:
    """Make every token invalid, and say so; exit code 1 if it must be repeated."""
    database = mongo.connect(DatabaseSettings.load().mongo_url, "user-recovery", timeout=60)
    keyring = Keyring(KeyStore(database), mongo.DatabaseClock(database), token_seconds=0)  # no old key is retained
    try:
        Indexes(database).ensure_indexes()  # the unique number of a key must hold before one is added
        report = recover(RefreshTokenStore(database), keyring)
    except Problem as exc:
        raise SystemExit(f"user_service.recovery must be repeated: {exc.detail}") from exc
    sys.stdout.write(report)


if __name__ == "__main__":
    main()
