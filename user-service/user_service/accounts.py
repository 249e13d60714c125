"""Accounts: registration, sign-in, profile, password, roles."""

import logging
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from chassis.auth.access import ADMIN, CUSTOMER
from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from chassis.paging import Page
from user_service import metrics
from user_service.emails import as_spelled, canonical_email
from user_service.model import User
from user_service.passwords import Passwords, is_common
from user_service.throttle import SignInAttempt, Throttle
from user_service.tokens import Tokens

if TYPE_CHECKING:
    from user_service.store import UserStore

log = logging.getLogger(__name__)


class EmailTaken(Conflict):
    """The e-mail address has an account: sign in instead."""

    code, title = "email-taken", "E-mail Address Taken"


class LastAdmin(Conflict):
    """The shop would have no administrator: give the role to another user first."""

    code, title = "last-admin", "Last Administrator"

    def __init__(self) -> None:
        super().__init__("This is the last administrator. Give the role to another user first.")


class WrongPassword(Forbidden):
    """The current password is wrong. Not a 401: the access token is valid, and refreshing it would not help."""

    code, title = "wrong-password", "Wrong Password"


@dataclass(frozen=True)
class Accounts:
    """The use cases of accounts."""

    users: "UserStore"
    tokens: Tokens
    throttle: Throttle
    clock: Callable[[], datetime]
    passwords: Passwords = field(default_factory=Passwords)

    def register(self, email: str, password: str, name: str | None, phone: str | None, *, address: str | None) -> User:
        """Open an account for a customer. Raises EmailTaken, Invalid, TooManyRequests."""
        _reject_common("password", password)
        with metrics.throttled(metrics.REGISTRATIONS):
            self.throttle.count_registration(address)
        user = self._new_user(email, password, name, phone, (CUSTOMER,))
        is_new = self.users.add(user)
        metrics.REGISTRATIONS["created" if is_new else "taken"].inc()
        if not is_new:
            raise EmailTaken("This e-mail address has an account. Sign in, or use another address.")
        return user

    def ensure_admin(self, email: str, password: str) -> None:
        """Create the first administrator, unless the e-mail address has an account, with any roles."""
        if self.users.find_by_email(canonical_email(email), as_spelled(email)) is None:
            created = self.users.add(self._new_user(email, password, None, None, (ADMIN, CUSTOMER)))
            log.info("administrator of ADMIN_EMAIL %s", "created" if created else "already exists")

    def sign_in(self, email: str, password: str, *, address: str | None) -> User:
        """Return the user with these credentials. Raises Unauthorized, TooManyRequests.

        Neither the answer nor its time shows whether the e-mail address or the password was wrong.
        """
        mailbox = canonical_email(email)
        with metrics.throttled(metrics.SIGN_INS):
            attempt = self.throttle.start_sign_in(mailbox, address)
        user = self.users.find_by_email(mailbox, as_spelled(email))
        is_correct = self._verify(attempt, password, user)
        metrics.SIGN_INS["accepted" if is_correct else "refused"].inc()
        if not is_correct or user is None:
            raise Unauthorized("The e-mail address or the password is wrong.")
        if self.passwords.needs_rehash(user.password_hash):
            self.users.replace_hash(user.id, user.password_hash, self.passwords.hash(password))
        return user

    def get(self, user_id: str) -> User:
        """Return a user. Raises NotFound."""
        user = self.users.find(user_id)
        if user is None:
            raise NotFound("There is no user with this id.")
        return user

    def list_newest(self, *, limit: int, cursor: str | None) -> Page[User]:
        """Return a page of users, newest first. Raises Invalid for a cursor of another list."""
        return self.users.list_newest(limit=limit, cursor=cursor)

    def change_profile(self, user_id: str, changes: Mapping[str, str | None]) -> User:
        """Set the name or the phone number; None clears it. Raises NotFound."""
        if changes:
            self.users.set_profile(user_id, changes)
        return self.get(user_id)

    def change_password(self, user_id: str, current: str, new: str, *, address: str | None) -> None:
        """Set a new password and end every session. Raises WrongPassword, Invalid, TooManyRequests, Conflict."""
        _reject_common("new_password", new)
        user = self.get(user_id)
        attempt = self.throttle.start_sign_in(canonical_email(user.email), address)
        if not self._verify(attempt, current, user):
            raise WrongPassword("The current password is wrong.")
        if not self.users.change_password(user.id, user.credential_version, self.passwords.hash(new)):
            raise Conflict("Another request changed the password at the same time. Sign in with the new password.")
        self.tokens.revoke_all(user.id)

    def set_roles(self, user_id: str, roles: Collection[str]) -> User:
        """Give a user exactly these roles. Raises NotFound, LastAdmin.

        Two administrators may take the role from each other at the same moment. So each request checks again after its
        change, and undoes the change if no administrator is left.
        """
        before = self.get(user_id)
        if ADMIN in before.roles and ADMIN not in roles and not self.users.has_admin(besides=user_id):
            raise LastAdmin
        self.users.set_roles(user_id, tuple(sorted(set(roles))))
        if ADMIN in before.roles and not self.users.has_admin():
            self.users.set_roles(user_id, before.roles)
            raise LastAdmin
        return self.get(user_id)

    def _verify(self, attempt: SignInAttempt, password: str, user: User | None) -> bool:
        correct = self.passwords.verify(password, user.password_hash if user else None)
        if correct:
            self.throttle.record_success(attempt)
        else:
            self.throttle.record_failure(attempt)
        return correct

    def _new_user(self, email: str, password: str, name: str | None, phone: str | None, roles: tuple[str, ...]) -> User:
        password_hash = self.passwords.hash(password)
        return User(uuid.uuid4().hex, email, name, phone, roles, password_hash, 1, self.clock())


def _reject_common(field_name: str, password: str) -> None:
    if is_common(password):
        raise Invalid.field(field_name, "is too common: attackers guess it first")
