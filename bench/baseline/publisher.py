"""The naive publisher: one connection per process, no confirms."""

import json
import os
import threading
from typing import Any

import pika


class Publisher:
    """Publishes under a lock, because pika's connections are not safe to share between threads."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = 0  # nobody would answer them between two requests
        self._lock = threading.Lock()
        self._queue = os.environ["QUEUE"]
        self._channel: Any = None

    def publish(self, event: dict[str, Any]) -> None:
        """Hand an event to the connection; whether it arrives, nobody knows."""
        with self._lock:
            if self._channel is None:
                self._channel = pika.BlockingConnection(self._parameters).channel()
                self._channel.queue_declare(self._queue, durable=True)
            properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
            self._channel.basic_publish("", self._queue, json.dumps(event).encode(), properties)
