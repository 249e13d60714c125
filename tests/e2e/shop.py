"""Where the end-to-end tests find the shop."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.services import STOREFRONT
from tools.stack import programs
from tools.stack.spec import Options, free_ports
from tools.stack.stack import Stack


@dataclass(frozen=True)
class Shop:
    """A running shop. `stack` is there when it runs on this machine, so that a test may kill parts of it.

    `client_secret` is order-service's, with which it gets service tokens; `mongo_url` is the administrator's, empty
    where the database is out of reach.
    """

    product_url: str
    user_url: str
    order_url: str
    notification_url: str
    storefront_url: str
    admin_email: str
    admin_password: str
    client_secret: str
    mongo_url: str = ""
    stack: Stack | None = None

    @classmethod
    def from_environment(cls) -> "Shop | None":
        """Return the shop that the environment names, if it names one."""
        if "SHOP_USER_URL" not in os.environ:
            return None
        return cls(
            product_url=os.environ["SHOP_PRODUCT_URL"],
            user_url=os.environ["SHOP_USER_URL"],
            order_url=os.environ["SHOP_ORDER_URL"],
            notification_url=os.environ["SHOP_NOTIFICATION_URL"],
            storefront_url=os.environ["SHOP_STOREFRONT_URL"],
            admin_email=os.environ["SHOP_ADMIN_EMAIL"],
            admin_password=os.environ["SHOP_ADMIN_PASSWORD"],
            client_secret=os.environ["SHOP_CLIENT_SECRET"],
            mongo_url=os.environ.get("SHOP_MONGO_URL", ""),
        )

    @classmethod
    def of(cls, stack: Stack) -> "Shop":
        """Return the shop that a stack runs."""
        administrators = stack.administrators()
        return cls(
            product_url=stack.urls["product-service"],
            user_url=stack.urls["user-service"],
            order_url=stack.urls["order-service"],
            notification_url=stack.urls["notification-service"],
            storefront_url=stack.pages()[STOREFRONT],
            admin_email=programs.ADMIN_EMAIL,
            admin_password=programs.ADMIN_PASSWORD,
            client_secret=stack.environment("order-service")["CLIENT_SECRET"],
            mongo_url=administrators["MONGO_URL"],
            stack=stack,
        )

    @property
    def urls(self) -> dict[str, str]:
        """Return the base URL of each service by its name."""
        return {
            "user-service": self.user_url,
            "product-service": self.product_url,
            "order-service": self.order_url,
            "notification-service": self.notification_url,
        }


@contextmanager
def own_stack(options: Options) -> Iterator[Stack]:
    """Lend a stack on free ports, which the test starts. Where the environment names a shop, the test is skipped."""
    if Shop.from_environment():
        pytest.skip("needs a stack of its own")
    stack = Stack(Path(tempfile.mkdtemp(prefix="shop-")), free_ports(), options)
    try:
        yield stack
    finally:
        stack.destroy()
