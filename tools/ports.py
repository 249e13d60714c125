"""TCP ports on the loopback interface: which are free, and who holds one that is not."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

from tools import processes

LISTENING = "0A"
# Outgoing connections get ports from 32768 on: a restarting server keeps its port. None is a well-known one of ours.
BELOW_OUTGOING = range(16000, 25000)


def loopback() -> list[str]:
    """Return the addresses that `localhost` may mean here, as URLs write them; some clients know only its IPv6 one."""
    return ["127.0.0.1", "[::1]"] if _can_listen("::1", 0) else ["127.0.0.1"]


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port, at each address of `localhost`."""
    return all(_can_listen(host.strip("[]"), port) for host in loopback())


def _can_listen(host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return different ports that are free now, chosen at random so that two callers hardly meet."""
    candidates = random.sample(BELOW_OUTGOING, len(BELOW_OUTGOING))
    found: list[int] = []
    while len(found) < count:
        port = candidates.pop()
        if is_free(port):
            found.append(port)
    return found


def holder(port: int) -> str:
    """Name the process that listens on a port, with pid and command, as far as this user may know."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for entry in processes.PROC.glob("[0-9]*"):
        if sockets & set(_open_files(entry)):
            return f"pid {entry.name}: {processes.command_line(int(entry.name))}"
    return "a process of another user"


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        path = processes.PROC / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield str(descriptor.readlink())
    except OSError:
        return
