"""user-service owns accounts and sign-in, and issues the tokens that the other services trust."""

from chassis import mongo
from chassis.service import create_service
from chassis.web.app import App
from user_service import api
from user_service.accounts import Accounts
from user_service.cli import rotation_command
from user_service.config import Settings
from user_service.keys import Keyring
from user_service.store import AttemptStore, FamilyStore, KeyStore, Preparation, UserStore
from user_service.throttle import Throttle
from user_service.tokens import Policy, Tokens


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "user-service")
    clock = mongo.DatabaseClock(database)
    preparation = Preparation(database, clock)
    users = UserStore(database)
    throttle = Throttle(
        AttemptStore(database),
        clock,
        registrations_per_minute=settings.registrations_per_minute,
        refreshes_per_minute=settings.refreshes_per_minute,
    )
    policy = _policy(settings)
    keyring = Keyring(KeyStore(database), clock, token_seconds=max(policy.access_seconds, policy.service_seconds))
    tokens = Tokens(FamilyStore(database), users, keyring, throttle, clock, policy, settings.service_clients)
    accounts = Accounts(users, tokens, throttle, clock)

    def prepare() -> None:
        preparation.prepare()
        keyring.prepare()
        if settings.admin_email:
            accounts.ensure_admin(settings.admin_email, settings.admin_password)

    app = create_service(
        "user_service",
        __doc__ or "",
        settings,
        api.api,
        collaborators={"accounts": accounts, "tokens": tokens, "keyring": keyring},
        keys=keyring,
        prepare=prepare,
        ping=preparation.ping,
        dependencies={},
    )
    api.sign_access_tokens(app)
    app.cli.add_command(rotation_command(keyring))
    return app


def _policy(settings: Settings) -> Policy:
    return Policy(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        access_seconds=settings.access_token_seconds,
        service_seconds=settings.service_token_seconds,
        refresh_days=settings.refresh_token_days,
    )
