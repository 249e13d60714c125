"""Tell Docker whether the program in this container is well, by exit code.

`python deploy/healthcheck.py 5003` asks the web service at that port whether it is ready, and refused nothing; without
a port the age of the file $HEARTBEAT_FILE counts, which background programs touch about every second.
"""

import http.client
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

OLDEST_HEARTBEAT = 15.0


def is_ready(url: str, *, timeout: float = 8) -> bool:
    """Return whether the service's own database answers; a neighbour counts only if it refuses to be used."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status == http.client.OK and not json.load(response).get("refused")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def beats(heartbeat: Path, *, within: float = OLDEST_HEARTBEAT) -> bool:
    """Return whether the program has renewed its heartbeat file within so many seconds."""
    try:
        return time.time() - heartbeat.stat().st_mtime < within
    except OSError:
        return False


if __name__ == "__main__":
    well = is_ready(f"http://127.0.0.1:{sys.argv[1]}") if sys.argv[1:] else beats(Path(os.environ["HEARTBEAT_FILE"]))
    sys.exit(0 if well else 1)
