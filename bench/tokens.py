"""Checking access tokens in what the shop is compared with, with the public key that the environment gives."""

import os

from flask import Flask, request
from flask_jwt_extended import JWTManager, verify_jwt_in_request


def install(app: Flask) -> None:
    """Let `jwt_required` accept user-service's access tokens."""
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=os.environ["JWT_PUBLIC_KEY"],
        JWT_DECODE_ISSUER="user-service",
        JWT_DECODE_AUDIENCE="shop",
    )
    JWTManager(app)


def check_each_once(app: Flask) -> None:
    """Refuse requests without a token, but for the catalogue; a token that was verified is remembered."""
    install(app)
    known: set[str] = set()

    @app.before_request
    def check() -> None:
        token = request.headers.get("Authorization", "")
        if token not in known and not request.path.startswith("/products/"):
            verify_jwt_in_request()
            known.add(token)
