"""A stack's own MongoDB server: `mongod` if it is on the PATH, else SecantusDB.

SecantusDB speaks MongoDB's wire protocol, has transactions and stores on disk. It is a stand-in for development. Its
Python build comes with `.venv`, in the version of constraints.txt. `secantusd-rs`, its much faster Rust build, is used
only if the user names it, because its version is not pinned.
"""

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ADMINISTRATOR = "admin"
OLDEST_MONGOD = 8  # the first version with `bulkWrite`, which writes stock and reservation in one command
PYTHON_BUILD = Path(__file__).with_name("secantusd.py")
MONGOD, STAND_IN, FAST_STAND_IN = PROGRAMS = ("mongod", "secantusd-py", "secantusd-rs")


@dataclass(frozen=True)
class MongoServer:
    """How to start the server and how to reach it; `home` has its data."""

    home: Path
    port: int
    program: Path

    @classmethod
    def choose(cls, data: Path, port: int, program: str = "") -> "MongoServer":
        """Return a server for the program of this name or path, else the usual one. Each program has its own data."""
        mongod = None if program else _current_mongod()
        chosen = mongod or find(program or STAND_IN)
        if chosen is None:
            raise SystemExit(
                f"There is no MongoDB server {program} here. Name {', '.join(PROGRAMS)}, or the path of one of them."
            )
        return cls(data / chosen.name, port, chosen)

    @property
    def is_mongod(self) -> bool:
        """Return whether this is MongoDB itself."""
        return self.program.name == MONGOD

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that the server needs.

        MongoDB's allocator keeps caches per CPU unless glibc has taken the kernel's restartable sequences for itself.
        With these caches it corrupts memory on Linux 6.19 to 7.0.13, where mongod therefore refuses to start
        (SERVER-121912).
        """
        return {"GLIBC_TUNABLES": "glibc.pthread.rseq=1"} if self.is_mongod else {}

    @property
    def key_file(self) -> Path:
        """Return the file with the secret that the members of a replica set share; it also turns on access control."""
        return self.home / "replica-set.key"

    @property
    def prepared(self) -> Path:
        """Return the file that exists as soon as the server has its administrator."""
        return self.home / "prepared"

    def command(self, *, secured: bool) -> tuple[str, ...]:
        """Return the command that starts the server, with or without access control."""
        return self._mongod_command(secured) if self.is_mongod else self._secantusdb_command(secured)

    def _mongod_command(self, secured: bool) -> tuple[str, ...]:
        place = ("--dbpath", str(self.home / "data"), "--bind_ip", "127.0.0.1", "--port", str(self.port))
        options = ("--replSet", "rs0", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25")
        limit = ("--setParameter", "transactionLifetimeLimitSeconds=10")
        privacy = ("--slowOpSampleRate", "0")  # the log would quote slow operations, with e-mail addresses and phones
        access = ("--keyFile", str(self.key_file)) if secured else ()
        return (str(self.program), *place, *options, *limit, *privacy, *access)

    def _secantusdb_command(self, secured: bool) -> tuple[str, ...]:
        is_python = self.program.name == STAND_IN
        start = (sys.executable, "-P", str(PYTHON_BUILD)) if is_python else (str(self.program),)
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.home / "data"))
        access = ("--auth",) if secured else ()
        return (*start, *place, "--sync-on-commit", "--cache-size", "256M", *access)

    def write_configuration(self, key: str) -> None:
        """Create the server's folder and its key file."""
        (self.home / "data").mkdir(parents=True, exist_ok=True)
        self.key_file.write_text(key)
        self.key_file.chmod(0o600)

    def url(self, account: str = "", password: str = "", database: str = "") -> str:
        """Return the URL for an account. SecantusDB is used without retryable writes."""
        options = "directConnection=true" if self.is_mongod else "directConnection=true&retryWrites=false"
        credentials = f"{account}:{password}@" if account else ""
        return f"mongodb://{credentials}127.0.0.1:{self.port}/{database}?{options}"


def _current_mongod() -> Path | None:
    """Return the `mongod` on the PATH. Return None, and print a note, if it is too old for product-service."""
    mongod = find(MONGOD)
    if mongod is None:
        return None
    output = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v(\d+)\.", output)
    if version and int(version[1]) < OLDEST_MONGOD:
        sys.stderr.write(f"NOTE: {mongod} is older than MongoDB {OLDEST_MONGOD}, so SecantusDB is used.\n")
        return None
    return mongod


def find(program: str) -> Path | None:
    """Return the path of the server program with this name or path, None if this machine does not have it."""
    folders = None if program != STAND_IN else str(Path(sys.executable).parent)
    path = shutil.which(program, path=folders)
    return Path(path).absolute() if path and Path(path).name in PROGRAMS else None


def add_option(parser: argparse.ArgumentParser, *, default: str = "") -> None:
    """Add `--mongodb PROGRAM`; without a default, `choose` takes the usual program."""
    usual = default or f"{MONGOD} where it is on the PATH, else {STAND_IN}"
    text = f"name or path of the MongoDB server to start: {', '.join(PROGRAMS)} (here: {usual})"
    parser.add_argument("--mongodb", default=default, metavar="PROGRAM", help=text)
