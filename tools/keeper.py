"""Look after supervisord, which looks after everything else, this process included. Standard library only.

When supervisord has died, the keeper starts it again. When the process that the stack was started for has ended
without stopping it, the keeper stops the stack.
"""

import os
import signal
import time
from pathlib import Path

from tools import processes, supervision

OWNER = "SHOP_OWNER"
SECONDS_BETWEEN_LOOKS = 0.2


def main() -> None:
    """Watch supervisord and the stack's owner until one of them is gone."""
    state = Path(os.environ[processes.STACK])
    supervisord, owner = os.getppid(), os.environ.get(OWNER)
    while processes.belongs(supervisord, state, supervision.SUPERVISORD) and os.getppid() == supervisord:
        if owner and not processes.lives(owner):
            supervision.stop_in_background(state)
            signal.pause()  # until supervisord, which would otherwise start the keeper again, stops it
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if not supervision.is_stopping(state):
        supervision.start(state)


if __name__ == "__main__":
    main()
