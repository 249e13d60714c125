"""An idempotent consumer: an event gives one notification per channel, however often the broker delivers it."""

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from chassis import logs
from chassis.errors import Unavailable
from chassis.telemetry import context, tracing
from chassis.telemetry.tracing import CLIENT
from notification_service import metrics
from notification_service.delivery import DELIVERED, Channel, DeliveryError, Disposition, Outcome, combine
from notification_service.model import Notification
from notification_service.retrying import RetryWhileUnavailable

if TYPE_CHECKING:
    from notification_service.store import NotificationStore

log = logging.getLogger(__name__)


class Notifier:
    """Sends notifications, many at a time: insert, claim, send, mark. Safe to use from several threads.

    A claim holds for a lease, so a crash leaves nothing stuck. Sending must begin within `start_within` seconds of the
    claim: the rest of the lease is for the sending itself.
    """

    def __init__(
        self,
        store: "NotificationStore",
        channels: Mapping[str, Channel],
        retry: RetryWhileUnavailable,
        clock: Callable[[], datetime],
        *,
        start_within: float,
    ) -> None:
        self._store = store
        self._channels = channels
        self._retry = retry
        self._clock = clock
        self._start_within = start_within
        self._pools = {
            name: ThreadPoolExecutor(channel.max_concurrent, thread_name_prefix=name)
            for name, channel in channels.items()
            if channel.max_concurrent
        }

    def notify(self, messages: Sequence[Sequence[Notification]]) -> list[Outcome]:
        """Send the notifications that are not sent yet; return the outcome of each message.

        A notification that occurs twice is sent once. Raises Unavailable if the consumer stops while the database is
        away.
        """
        batch: dict[str, Notification] = {}
        for message in messages:
            for notification in message:
                batch.setdefault(notification.id, notification)
        outcomes = self._deliver(batch) if batch else {}
        return [combine(outcomes[notification.id] for notification in message) for message in messages]

    def _deliver(self, batch: Mapping[str, Notification]) -> dict[str, Outcome]:
        start_by = time.monotonic() + self._start_within  # before the claims are written, which may take long
        claim = uuid.uuid4().hex
        outcomes = self._claim_all(batch, claim)
        attempted = self._send_all({key: batch[key] for key in batch if key not in outcomes}, start_by)
        self._record(batch, attempted, claim)
        return outcomes | attempted

    def _claim_all(self, batch: Mapping[str, Notification], claim: str) -> dict[str, Outcome]:
        """Claim a batch; return the outcomes of the notifications that must not be sent now."""
        existing, outcomes = self._insert(list(batch.values()), claim)
        sent = self._retry(self._store.sent_among, existing) if existing else set()
        recorded = {key for key in existing - sent if batch[key].record_only}
        failed = self._retry(self._store.failed_among, recorded) if recorded else set()
        outcomes |= dict.fromkeys(sent | failed, DELIVERED)  # to record as sent what has failed would be wrong
        for key in existing - sent - failed:
            if not self._retry(self._store.claim, key, claim):
                outcomes[key] = _unsent(batch[key], Disposition.DEFER, "another consumer is sending it")
        return outcomes

    def _insert(self, notifications: Sequence[Notification], claim: str) -> tuple[set[str], dict[str, Outcome]]:
        """Insert notifications with their claim; return the ids that existed before, and the outcomes of failures."""
        try:
            return self._retry(self._store.add, notifications, claim), {}
        except Unavailable:
            raise
        except Exception as exc:
            if len(notifications) == 1:
                return set(), {notifications[0].id: _failed(notifications[0], exc)}
        existing, failed = set[str](), dict[str, Outcome]()
        for notification in notifications:  # one by one: a notification that cannot be stored must not fail the others
            ids, outcomes = self._insert([notification], claim)
            existing |= ids
            failed |= outcomes
        return existing, failed

    def _send_all(self, batch: Mapping[str, Notification], start_by: float) -> dict[str, Outcome]:
        """Send on all channels at once, so that none delays another; return the outcomes.

        Of a record-only event nothing is sent.
        """
        futures = {
            key: self._pools[notification.channel].submit(self._send, notification, start_by)
            for key, notification in batch.items()
            if notification.channel in self._pools
        }
        outcomes = {key: self._send(batch[key], start_by) for key in batch if key not in futures}
        return outcomes | {key: future.result() for key, future in futures.items()}

    def _send(self, notification: Notification, start_by: float) -> Outcome:
        if notification.record_only:
            log.info("notification recorded, not sent", extra={"event_id": notification.event_id})
            return DELIVERED
        if self._retry.is_stopped:
            return _unsent(notification, Disposition.UNSETTLED, "the consumer stops")
        if time.monotonic() > start_by:
            return _unsent(notification, Disposition.DEFER, "too little of its lease is left")
        name, attributes = f"send {notification.channel}", {"messaging.message.id": notification.event_id}
        with logs.bind_request_id(notification.request_id), context.use(notification.trace):
            try:
                with tracing.span(name, CLIENT, attributes):
                    self._channels[notification.channel].send(notification)
            except Exception as exc:
                outcome = _failed(notification, exc)
                metrics.count_not_sent(notification, outcome.disposition)
                return outcome
        metrics.count_sent(notification, self._clock)
        return DELIVERED

    def _record(self, batch: Mapping[str, Notification], outcomes: Mapping[str, Outcome], claim: str) -> None:
        """Write the outcomes to the history: sent notifications in one write, notifications not begun in another."""
        keys = defaultdict[Disposition, list[str]](list)
        for key, outcome in outcomes.items():
            keys[outcome.disposition].append(key)
        if sent := keys[Disposition.ACKNOWLEDGE]:
            if recorded := [key for key in sent if batch[key].record_only]:
                self._retry(self._store.note_record_only, recorded)
            self._retry(self._store.mark_sent, sent)
        if not_begun := keys[Disposition.DEFER] + keys[Disposition.UNSETTLED]:
            self._retry(self._store.release_claims, not_begun, claim)
        for key in keys[Disposition.RETRY] + keys[Disposition.DEAD_LETTER]:
            self._retry(self._store.mark_failed, key, claim, outcomes[key].reason)


def _unsent(notification: Notification, disposition: Disposition, reason: str) -> Outcome:
    return Outcome(disposition, f"{notification.channel}: {reason}")


def _failed(notification: Notification, exc: Exception) -> Outcome:
    extra = {"event_id": notification.event_id, "channel": notification.channel}
    if isinstance(exc, DeliveryError):
        log.warning("notification not sent: %s", exc, extra=extra)
        return _unsent(notification, exc.disposition, str(exc))
    log.error("notification not sent: unexpected error", exc_info=exc, extra=extra)
    return _unsent(notification, Disposition.RETRY, f"unexpected {type(exc).__name__}")
