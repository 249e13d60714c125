"""The command that rotates signing keys: `flask --app user_service rotate-keys`."""

import click

from chassis.errors import Problem
from chassis.schemas import format_time
from user_service.keys import Keyring


def rotation_command(keyring: Keyring) -> click.Command:
    """Return the command that rotates the keys of a keyring."""

    @click.command("rotate-keys")
    @click.option("--revoke-now", is_flag=True, help="If a key has leaked: delete all old keys now.")
    def rotate_keys(revoke_now: bool) -> None:
        """Add the next signing key. The old key stays published until its last token has expired."""
        try:
            keyring.rotate(revoke_now=revoke_now)
        except Problem as exc:
            raise click.ClickException(exc.detail) from exc
        for key, end in keyring.schedule():
            until = f", is published until {format_time(end)}" if end else ""
            click.echo(f"key {key.id} signs from {format_time(key.signs_from)}{until}")

    return rotate_keys
