"""The health check of a container: exit code 0 means healthy.

`python deploy/healthcheck.py 5003` asks the web service on that port whether it is ready and not misconfigured. Without
a port, the file $HEARTBEAT_FILE must be fresh; background programs touch it about once a second.
"""

import http.client
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

MAX_HEARTBEAT_AGE = 15.0  # s


def is_ready(url: str, *, timeout: float = 8) -> bool:
    """Return whether the service's database answers, and no server that it needs refuses it."""
    try:
        return not json.loads(fetch(url, "/ready", timeout)).get("refused")
    except (OSError, ValueError):
        return False


def fetch(url: str, path: str, timeout: float) -> bytes:
    """Return the body of the answer 200 to a GET. Raises OSError for any other answer, and for none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise OSError(f"{url}{path} answered {response.status}")
        return response.read()
    except http.client.HTTPException as exc:
        raise OSError(f"{url}{path} gave no valid answer") from exc
    finally:
        connection.close()


def beats(heartbeat: Path, *, within: float = MAX_HEARTBEAT_AGE) -> bool:
    """Return whether the heartbeat file is younger than `within` seconds."""
    try:
        return time.time() - heartbeat.stat().st_mtime < within
    except OSError:
        return False


if __name__ == "__main__":
    healthy = is_ready(f"http://127.0.0.1:{sys.argv[1]}") if sys.argv[1:] else beats(Path(os.environ["HEARTBEAT_FILE"]))
    sys.exit(0 if healthy else 1)
