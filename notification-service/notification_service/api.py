"""The routes of notification-service: parse, call, present."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from chassis.auth.access import ADMIN, CUSTOMER, listed_owner, requires
from chassis.service import collaborator
from chassis.web.responses import conditional_response, json_response
from notification_service.history import NotificationHistory
from notification_service.schemas import NotificationList, NotificationQuery

NOTIFICATIONS = Tag(name="notifications", description="The history of e-mail and SMS about orders.")

api = APIBlueprint("notifications", __name__, abp_tags=[NOTIFICATIONS])
history: NotificationHistory = collaborator("history")


@api.get("/notifications", summary="List notifications", responses={200: NotificationList, 304: None})
@requires(CUSTOMER, ADMIN)
def list_notifications(query: NotificationQuery) -> Response:
    """List your notifications, newest first. An administrator lists all users' notifications, or one user's.

    With `If-None-Match` and the `ETag` of an earlier answer a page can poll: the answer is 304 until something changes.
    """
    owner = listed_owner(query.user_id)
    page = history.page(owner, query.order_id, limit=query.limit, cursor=query.cursor)
    return conditional_response(json_response(NotificationList, page))
