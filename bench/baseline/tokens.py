"""Checking access tokens, with the public key that the environment gives."""

import os

from flask import Flask
from flask_jwt_extended import JWTManager


def init_app(app: Flask) -> None:
    """Let `jwt_required` accept user-service's access tokens."""
    app.config.update(
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=os.environ["JWT_PUBLIC_KEY"],
        JWT_DECODE_ISSUER="user-service",
        JWT_DECODE_AUDIENCE="shop",
    )
    JWTManager(app)
