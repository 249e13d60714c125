"""user-service owns accounts and sign-in, and issues the tokens that the other services trust."""

from chassis import mongo
from chassis.service import create_service
from chassis.web.app import App
from user_service import api
from user_service.accounts import Accounts
from user_service.cli import rotation_command
from user_service.config import Settings
from user_service.keys import Keyring
from user_service.store import AttemptStore, Indexes, KeyStore, RefreshTokenStore, UserStore
from user_service.throttle import Throttle
from user_service.tokens import TokenPolicy, Tokens


def create_app(settings: Settings | None = None) -> App:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or Settings.load()
    database = mongo.connect(settings.mongo_url, "user-service")
    clock = mongo.DatabaseClock(database)
    users = UserStore(database)
    throttle = Throttle(AttemptStore(database), clock, settings.registrations_per_minute, settings.refreshes_per_minute)
    tokens = _tokens(settings, RefreshTokenStore(database), users, KeyStore(database), throttle, clock)
    accounts = Accounts(users, tokens, throttle, clock)

    def prepare() -> None:
        clock()  # so that the time is known if the database goes away later
        Indexes(database).ensure_indexes()
        tokens.keyring.ensure_key()
        if settings.admin_email:
            accounts.ensure_admin(settings.admin_email, settings.admin_password)

    app = create_service(
        "user_service",
        __doc__ or "",
        settings,
        api.api,
        collaborators={"accounts": accounts, "tokens": tokens},
        keys=tokens.keyring,
        prepare=prepare,
        ping=users.ping,
    )
    api.init_signing(app)
    app.cli.add_command(rotation_command(tokens.keyring))
    return app


def _tokens(
    settings: Settings,
    refresh_tokens: RefreshTokenStore,
    users: UserStore,
    keys: KeyStore,
    throttle: Throttle,
    clock: mongo.DatabaseClock,
) -> Tokens:
    policy = TokenPolicy(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        access_seconds=settings.access_token_seconds,
        service_seconds=settings.service_token_seconds,
        refresh_days=settings.refresh_token_days,
    )
    keyring = Keyring(keys, clock, token_seconds=max(policy.access_seconds, policy.service_seconds))
    clients, sign = settings.service_clients, api.sign_access_token
    return Tokens(refresh_tokens, users, keyring, throttle, clock, policy, clients, sign)
