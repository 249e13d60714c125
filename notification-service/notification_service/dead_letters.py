"""Look at dead letters and play them again: `python -m notification_service.dead_letters list|replay`.

What a message says of a person is not shown. A message is called by its id, which for an event is the event's. What a
terminal would obey is shown escaped: whoever may publish chooses ids, types and reasons.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing

from pika.adapters.blocking_connection import BlockingChannel

from chassis.amqp import FAILURES
from notification_service import config
from notification_service.publisher import Message, connect
from notification_service.topology import DEAD


def dead_letters(channel: BlockingChannel) -> Iterator[Message]:
    """Take each message that is in the queue now; what is not settled goes back when the channel closes."""
    for _ in range(count(channel)):
        method, properties, body = channel.basic_get(DEAD)
        if method is None:
            return
        yield Message(channel, method.delivery_tag, properties, body)


def count(channel: BlockingChannel) -> int:
    """Return how many there are."""
    return int(channel.queue_declare(DEAD, passive=True).method.message_count)


def show(channel: BlockingChannel, limit: int | None) -> int:
    """Print a line for each dead letter, and return 0. Nothing changes."""
    row = "{:<45} {:<16} {:<24} {:>8}  {}\n".format
    sys.stdout.write(row("ID", "TYPE", "DIED AT", "ATTEMPTS", "REASON"))
    for number, message in enumerate(dead_letters(channel)):
        if number == limit:
            break
        died_at, reason = message.death
        shown = map(escaped, (message.id, message.type, died_at, str(message.attempts), reason))
        sys.stdout.write(row(*shown))
    return 0


def replay(channel: BlockingChannel, limit: int | None, wanted: set[str]) -> int:
    """Move dead letters, by default all, back to where they are consumed; return 1 if one that is wanted is missing.

    They are called as `show` prints them.
    """
    channel.confirm_delivery()
    replayed: list[str] = []
    for message in dead_letters(channel):
        if len(replayed) == limit:
            break
        name = escaped(message.id)
        if not wanted or name in wanted:
            message.replay()
            replayed.append(name)
    missing = sorted(wanted.difference(replayed)) if limit is None else []
    sys.stdout.write(f"{len(replayed)} replayed\n")
    sys.stderr.write("".join(f"there is no dead letter {message_id}\n" for message_id in missing))
    return 1 if missing else 0


def escaped(text: str) -> str:
    """Return a text without what moves a terminal's cursor or hides: these are written `\\x1b`, `\\u202e`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    settings = config.DeadLetterSettings.load()
    try:
        with closing(connect(settings.rabbitmq_url)) as connection:
            channel = connection.channel()
            if options.command == "list":
                return show(channel, options.limit)
            return replay(channel, options.limit, set(map(escaped, options.ids)))
    except FAILURES as exc:
        sys.stderr.write(f"RabbitMQ: {type(exc).__name__} {exc}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m notification_service.dead_letters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="show the dead letters; changes nothing")
    replaying = commands.add_parser("replay", help="move dead letters back to where they are consumed")
    replaying.add_argument("ids", metavar="ID", nargs="*", help="which ones; without any, all")
    for command in (listing, replaying):
        command.add_argument("--limit", type=_positive, metavar="N", help="no more than N")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
