"""List dead letters, or replay them: `python -m notification_service.dead_letters list|replay`.

Personal data is not shown. A dead letter is named by its id, which for an event is the event's id. Control characters
are shown escaped: publishers choose ids, types and reasons, and a terminal obeys control characters.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

from pika.adapters.blocking_connection import BlockingChannel

from chassis.amqp import FAILURES
from notification_service import config
from notification_service.messages import Message, connect
from notification_service.topology import DEAD_LETTERS


def dead_letters(channel: BlockingChannel) -> Iterator[Message]:
    """Receive each dead letter that is there now. The queue gets the unsettled ones back when the channel closes."""
    for _ in range(count(channel)):
        method, properties, body = channel.basic_get(DEAD_LETTERS)
        if method is None:
            return
        yield Message(channel, method.delivery_tag, properties, body)


def count(channel: BlockingChannel) -> int:
    """Return the number of dead letters."""
    return int(channel.queue_declare(DEAD_LETTERS, passive=True).method.message_count)


def show(channel: BlockingChannel, limit: int | None) -> int:
    """Print a line for each dead letter, and return 0. Nothing changes."""
    row = "{:<45} {:<16} {:<24} {:>8}  {}\n".format
    sys.stdout.write(row("ID", "TYPE", "DIED AT", "ATTEMPTS", "REASON"))
    for message in islice(dead_letters(channel), limit):
        died_at, reason = message.death
        sys.stdout.write(row(*map(_escape, (message.id, message.type, died_at, str(message.attempts), reason))))
    return 0


def replay(channel: BlockingChannel, limit: int | None, ids: set[str]) -> int:
    """Move dead letters back to the consumer's queue: those with the ids that `show` prints, or all if `ids` is empty.

    Return 1 if an id is missing.
    """
    channel.confirm_delivery()
    replayed: list[str] = []
    for message in dead_letters(channel):
        if len(replayed) == limit:
            break
        message_id = _escape(message.id)
        if not ids or message_id in ids:
            message.replay()
            replayed.append(message_id)
    missing = sorted(ids.difference(replayed)) if limit is None else []
    sys.stdout.write(f"{len(replayed)} replayed\n")
    sys.stderr.write("".join(f"there is no dead letter {message_id}\n" for message_id in missing))
    return 1 if missing else 0


def _escape(text: str) -> str:
    """Return a text with control and invisible characters escaped, as in `\\x1b` or `\\u202e`."""
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
            return replay(channel, options.limit, set(map(_escape, options.ids)))
    except FAILURES as exc:
        sys.stderr.write(f"RabbitMQ: {type(exc).__name__} {exc}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m notification_service.dead_letters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="show the dead letters; changes nothing")
    replaying = commands.add_parser("replay", help="move dead letters back to the queue of the consumer")
    replaying.add_argument("ids", metavar="ID", nargs="*", help="which dead letters; without an id, all")
    for command in (listing, replaying):
        command.add_argument("--limit", type=_positive, metavar="N", help="at most N")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
