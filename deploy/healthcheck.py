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

OLDEST_HEARTBEAT = 15.0


def is_ready(port: int) -> bool:
    """Return whether the service's own database answers; a neighbour counts only if it refuses to be used."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status == http.client.OK and not json.load(response).get("refused")
    except (OSError, http.client.HTTPException, ValueError):
        return False


def beats(heartbeat: Path) -> bool:
    """Tell whether the program has renewed its heartbeat lately."""
    try:
        return time.time() - heartbeat.stat().st_mtime < OLDEST_HEARTBEAT
    except OSError:
        return False


if __name__ == "__main__":
    well = is_ready(int(sys.argv[1])) if sys.argv[1:] else beats(Path(os.environ["HEARTBEAT_FILE"]))
    sys.exit(0 if well else 1)
