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
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status == http.client.OK and not json.load(response).get("refused")
    except (OSError, http.client.HTTPException, ValueError):
        return False
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
