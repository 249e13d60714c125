"""A MongoDB server of a stack's own: `mongod` where there is one on the PATH, else SecantusDB.

SecantusDB speaks MongoDB's wire protocol, has transactions and stores on disk. It is a stand-in for development. Its
build in Python comes with `.venv`; `secantusd-rs`, its much faster build in Rust, is used where it is on the PATH.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ADMINISTRATOR = "admin"
IN_PYTHON = Path(__file__).with_name("secantusd.py")


@dataclass(frozen=True)
class MongoServer:
    """How to start the server and how to reach it; `home` has its data."""

    home: Path
    port: int
    program: Path

    @classmethod
    def choose(cls, data: Path, port: int) -> "MongoServer":
        """Choose the server program; each has its data in a folder of its own."""
        found = shutil.which("mongod") or shutil.which("secantusd-rs")
        program = Path(found) if found else Path(sys.executable).parent / "secantusd-py"
        return cls(data / program.name, port, program)

    @property
    def is_mongod(self) -> bool:
        """Tell whether this is MongoDB itself."""
        return self.program.name == "mongod"

    @property
    def address(self) -> tuple[str, str]:
        """Return what `choose` needs to make this object again, as arguments of a command."""
        return str(self.home.parent), str(self.port)

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
        return self._mongod(secured) if self.is_mongod else self._secantusdb(secured)

    def _mongod(self, secured: bool) -> tuple[str, ...]:
        place = ("--dbpath", str(self.home / "data"), "--bind_ip", "127.0.0.1", "--port", str(self.port))
        options = ("--replSet", "rs0", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25")
        limit = ("--setParameter", "transactionLifetimeLimitSeconds=10")
        privacy = ("--slowOpSampleRate", "0")  # the log would quote slow operations, with e-mail addresses and phones
        access = ("--keyFile", str(self.key_file)) if secured else ()
        return (str(self.program), *place, *options, *limit, *privacy, *access)

    def _secantusdb(self, secured: bool) -> tuple[str, ...]:
        in_python = self.program.name == "secantusd-py"
        start = (sys.executable, "-P", str(IN_PYTHON)) if in_python else (str(self.program),)
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.home / "data"))
        access = ("--auth",) if secured else ()
        return (*start, *place, "--sync-on-commit", "--cache-size", "256M", *access)

    def write_configuration(self, key: str) -> None:
        """Make the server's folder, and its key file with the given secret."""
        (self.home / "data").mkdir(parents=True, exist_ok=True)
        self.key_file.write_text(key)
        self.key_file.chmod(0o600)

    def url(self, account: str = "", password: str = "", database: str = "") -> str:
        """Return the URL for an account. SecantusDB is used without retryable writes."""
        options = "directConnection=true" if self.is_mongod else "directConnection=true&retryWrites=false"
        credentials = f"{account}:{password}@" if account else ""
        return f"mongodb://{credentials}127.0.0.1:{self.port}/{database}?{options}"
