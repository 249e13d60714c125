"""user-service: accounts, sign-in, and the tokens that the other services trust."""

from flask_openapi3 import OpenAPI

from chassis import logs, mongo
from chassis.auth import access
from chassis.web import docs, health
from chassis.web.app import make_app
from user_service import api, config
from user_service.accounts import Accounts
from user_service.cli import rotation_command
from user_service.keys import Keyring
from user_service.store import AttemptStore, Indexes, KeyStore, RefreshTokenStore, UserStore
from user_service.throttle import Throttle
from user_service.tokens import TokenPolicy, Tokens


def create_app(settings: config.Settings | None = None) -> OpenAPI:
    """Return the WSGI app, wired from settings, by default those of the environment."""
    settings = settings or config.load()
    logs.configure("user-service", settings.log_level)

    database = mongo.connect(settings.mongo_url, "user-service")
    clock = mongo.DatabaseClock(database)
    indexes = Indexes(database)
    users = UserStore(database)
    throttle = Throttle(
        AttemptStore(database),
        clock,
        registrations_per_minute=settings.registrations_per_minute,
        refreshes_per_minute=settings.refreshes_per_minute,
    )
    policy = _policy(settings)
    keyring = Keyring(KeyStore(database), clock, token_seconds=max(policy.access_seconds, policy.service_seconds))
    tokens = Tokens(
        RefreshTokenStore(database),
        users,
        keyring,
        throttle,
        clock,
        policy,
        settings.service_clients,
        sign=api.sign_access_token,
    )
    accounts = Accounts(users, tokens, throttle, clock)

    app = make_app(
        "user_service",
        "user-service",
        __doc__ or "",
        trusted_proxies=settings.trusted_proxies,
        cors_origins=settings.cors_origins,
    )
    app.extensions.update(accounts=accounts, tokens=tokens, keyring=keyring)
    access.init_app(app, keyring, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    api.init_signing(app)
    app.register_api(api.api)
    app.cli.add_command(rotation_command(keyring))

    def prepare() -> None:
        clock()  # so that the time is known if the database goes away later
        indexes.ensure_indexes()
        keyring.ensure_key()
        if settings.admin_email:
            accounts.ensure_admin(settings.admin_email, settings.admin_password)

    health.init_app(app, prepare, users.ping, {})
    docs.init_app(app)
    return app


def _policy(settings: config.Settings) -> TokenPolicy:
    return TokenPolicy(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        access_seconds=settings.access_token_seconds,
        service_seconds=settings.service_token_seconds,
        refresh_days=settings.refresh_token_days,
    )
