"""A mail server that accepts every mail and forgets it, until it is told to refuse all for good."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.stack.ports import free_ports


class MailServer:
    """Answers to each recipient what `refuses` says."""

    def __init__(self) -> None:
        self.refuses = False

    async def handle_RCPT(  # noqa: N802 (the name is aiosmtpd's)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient, or refuse it for good."""
        if self.refuses:
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[MailServer, str]]:
    """Let a mail server listen during the block, and yield it with its SMTP_URL."""
    server, (port,) = MailServer(), free_ports(1)
    controller = Controller(server, hostname="127.0.0.1", port=port, ready_timeout=30)
    controller.start()
    try:
        yield server, f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()
