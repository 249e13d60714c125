"""Composing notifications: the text of an e-mail and its HTML from the templates in `templates/`, and the SMS."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from notification_service import wording
from notification_service.model import EMAIL, SMS, Event, Notification, Shop

TEMPLATES = Path(__file__).with_name("templates")


class Composer:
    """Composes the notifications of events in the name of a shop. Safe for several threads.

    Values of an event are escaped in HTML. A name that a template misspells is an error.
    """

    def __init__(self, shop: Shop) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.globals["shop"] = shop
        self._text = environment.get_template("email.txt")
        self._html = environment.get_template("email.html")

    def notifications_of(self, event: Event) -> list[Notification]:
        """Return the notifications of an event: an e-mail, and an SMS if the buyer has a phone."""
        email = Notification(
            event_id=event.id,
            event_type=event.type,
            order_id=event.order_id,
            user_id=event.user_id,
            channel=EMAIL,
            recipient=event.email,
            subject=wording.subject(event),
            body=_render(self._text, event),
            request_id=event.request_id or event.id,
            trace=event.trace,
            occurred_at=event.occurred_at,
            render_html=partial(_render, self._html, event),
            record_only=event.record_only,
        )
        if not event.phone:
            return [email]
        body = wording.sentence(event)
        return [email, replace(email, channel=SMS, recipient=event.phone, body=body, render_html=None)]


def _render(template: Template, event: Event) -> str:
    return template.render(event=event, words=wording.WORDINGS[event.type], sentence=wording.sentence(event))
