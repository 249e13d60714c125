"""Make the README's screenshots: `./dev up --detach`, then `.venv/bin/python docs/images/make_screenshots.py`.

Drives Debian's `chromium` by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import html
import itertools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).resolve().parent
CHROMIUM = ("chromium", "--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1200,900")
CHAOS = ("./dev", "chaos", "--seconds", "60", "--seed", "1")
TERMINAL = "margin:16px; background:#1b1f27; color:#d8dee9; font:12px/18px monospace; white-space:pre-wrap"
LOGIN = """
for (const field of ['username', 'password']) document.querySelector(`[name=${field}]`).value = 'guest';
document.querySelector('[type=submit]').click()"""
GET_MESSAGES = """
for (const title of document.querySelectorAll('h2')) if (/Overview|Get messages/.test(title.textContent)) title.click();
document.querySelector('form[action="#/queues/get"] [type=submit]').click();
document.head.insertAdjacentHTML('beforeend', '<style>pre.msg-payload {white-space: pre-wrap}</style>')"""


class Browser:
    """A headless browser with one page; messages to and from it end with a null byte."""

    def __init__(self, profile: str) -> None:
        commands, self._out = os.pipe()
        self._in, replies = os.pipe()
        pipe = f'exec "$@" --remote-debugging-pipe --user-data-dir={profile} 3<&{commands} 4>&{replies} 2>/dev/null'
        subprocess.Popen(["bash", "-c", pipe, "-", *CHROMIUM], pass_fds=(commands, replies))  # noqa: S603, S607
        self._numbers, self._page = itertools.count(1), dict[str, str]()
        target = self.call("Target.createTarget", url="about:blank")
        self._page = {"sessionId": self.call("Target.attachToTarget", **target, flatten=True)["sessionId"]}

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        command = {"id": next(self._numbers), "method": method, "params": parameters, **self._page}
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while (reply := json.loads(self._next_message())).get("id") != command["id"]:
            pass  # events of the page
        return dict(reply["result"])

    def _next_message(self) -> bytes:
        return b"".join(iter(lambda: os.read(self._in, 1), b"\0"))

    def open(self, url: str, script: str = "") -> None:
        """Open a page, let it draw, and run a script in it."""
        self.call("Page.navigate", url=url)
        time.sleep(3)
        self.call("Runtime.evaluate", expression=script)
        time.sleep(2)

    def save(self, name: str, height: int) -> None:
        """Save what the page shows as a picture."""
        clip = {"x": 0, "y": 0, "width": 1200, "height": height, "scale": 1}
        picture = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        (HERE / name).write_bytes(base64.b64decode(picture["data"]))


def post(url: str, body: dict[str, Any], token: str = "") -> Any:
    """Post JSON to a service of this machine and return its answer."""
    return requests.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()


if __name__ == "__main__":
    ada = {"email": f"ada-{time.time_ns()}@example.com", "password": "analytical engine"}
    post("http://localhost:5002/register", ada)
    session = post("http://localhost:5002/login", ada)
    post("http://localhost:5003/orders", {"product_id": "demo-2", "quantity": 2}, session["access_token"])
    chaos = subprocess.check_output(CHAOS, cwd=HERE.parent.parent, text=True)  # noqa: S603
    terminal = f'<body style="{TERMINAL}">{html.escape("$ " + " ".join(CHAOS) + chr(10) + chaos)}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        browser.open("http://localhost:5003/docs")
        browser.save("swagger-ui.png", 720)
        browser.open("http://localhost:15672/", LOGIN)
        browser.open("http://localhost:15672/#/queues/%2F/events.recent", GET_MESSAGES)
        browser.save("rabbitmq.png", 840)
        browser.open("data:text/html;charset=utf-8;base64," + base64.b64encode(terminal.encode()).decode())
        browser.save("chaos.png", 18 * terminal.count("\n") + 50)
        browser.call("Browser.close")
