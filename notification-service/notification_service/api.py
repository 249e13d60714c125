"""The routes of notification-service: parse, call, present."""

from typing import cast

from flask import Response, current_app
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, CUSTOMER, caller, requires
from chassis.errors import Forbidden
from chassis.web.responses import json_response
from notification_service.history import NotificationHistory
from notification_service.schemas import NotificationList, NotificationQuery

NOTIFICATIONS = Tag(name="notifications", description="The history of e-mail and SMS about orders.")

api = APIBlueprint("notifications", __name__, abp_tags=[NOTIFICATIONS])


@api.get("/notifications", summary="List notifications", responses={200: NotificationList})
@requires(CUSTOMER, ADMIN)
def list_notifications(query: NotificationQuery) -> Response:
    """List your notifications, newest first. An administrator lists all users' notifications, or one user's."""
    page = _history().page(_listed_owner(query.user_id), limit=query.limit, cursor=query.cursor)
    return json_response(NotificationList, page)


def _history() -> NotificationHistory:
    return cast(NotificationHistory, current_app.extensions["history"])


def _listed_owner(user_id: str | None) -> str | None:
    """Return the user whose notifications the caller may list; None for all users."""
    user = caller()
    if user_id not in (None, user.id) and not user.is_admin:
        raise Forbidden("Only an administrator may list other users' notifications.")
    return user_id if user.is_admin else user.id
