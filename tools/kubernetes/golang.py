"""Go, with which the optional parts of the Kubernetes checks are downloaded and built."""

import shutil

ADVICE = "This needs Go 1.25 or later on the PATH: https://go.dev/doc/install"
DOWNLOAD_TIMEOUT = 120  # seconds for one module


def go() -> str:
    """Return the program. Raises SystemExit with advice."""
    if program := shutil.which("go"):
        return program
    raise SystemExit(ADVICE)
