"""The golden mails in `mails/`: what the templates make of the golden events of `contracts/events`.

After a change of a template, look at the new mails: `.venv/bin/python -m tests.unit.notification.golden_mails` writes
them anew, and `docs/images/make_mail_pictures.py` makes pictures of them.
"""

import json
from pathlib import Path
from typing import Any

from notification_service.composing import Composer
from notification_service.events import read_event
from notification_service.model import Notification, Shop
from tools.paths import ROOT

MAILS = Path(__file__).with_name("mails")
EVENTS = ROOT / "contracts" / "events"
SHOP = Shop("Example Shop", ("Rue du Marché 1, 1000 Brussels", "Belgium"))

# The name of each golden mail, and what its event has besides the data of the golden event of its type.
CASES: dict[str, dict[str, Any]] = {
    "order_created": {},
    "order_paid": {},
    "order_cancelled": {"reason": "customer"},
    "order_cancelled.admin": {"reason": "admin"},
    "order_cancelled.unpaid": {"reason": "unpaid", "payment": None},
    "order_refunded": {},
    "order_shipped": {},
    "order_delivered": {},
}


def example(kind: str) -> Any:
    """Return the golden event of a type."""
    return json.loads((EVENTS / f"{kind}.example.json").read_text())


def notifications(event: dict[str, Any]) -> list[Notification]:
    """Return the notifications that the consumer makes of an event."""
    return Composer(SHOP).notifications_of(read_event(json.dumps(event).encode()))


def html(mail: Notification) -> str:
    """Return the HTML of an e-mail."""
    assert mail.render_html is not None
    return mail.render_html()


def parts(name: str) -> dict[str, str]:
    """Return the text and the HTML of a golden mail as the templates make it now, by their files' names."""
    event = example(name.partition(".")[0])
    event["data"] |= CASES[name]
    mail = notifications(event)[0]
    return {f"{name}.txt": f"Subject: {mail.subject}\n\n{mail.body}", f"{name}.html": html(mail)}


if __name__ == "__main__":
    MAILS.mkdir(exist_ok=True)
    for file in MAILS.iterdir():
        file.unlink()
    for case in CASES:
        for file_name, text in parts(case).items():
            (MAILS / file_name).write_text(text)
